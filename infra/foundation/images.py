"""Which images the platform runs in an account, where storage and registry are AWS's own."""

from collections.abc import Iterator

from infra.foundation.settings import Aws

BUILT = ("traefik", "argo-rollouts", "metrics-server", "prometheus", "doorkeeper")
"""Images that are made here (ci/toolchain/images.toml)."""

VENDORS = (
    "cluster-autoscaler",
    "nvidia-device-plugin",
    "dcgm-exporter",
    "neuron-device-plugin",
    "efa-device-plugin",
)
"""Images that are copied from their vendors (ci/toolchain/vendor.toml)."""

REPOSITORIES = BUILT + VENDORS
"""All have a repository in every account, so that another pool needs none first."""


def wanted(aws: Aws) -> Iterator[str]:
    """Names of the images that the platform of an account runs on its pools."""
    yield from BUILT
    yield "cluster-autoscaler"
    kinds = {pool.accelerator.kind for pool in aws.pools if pool.accelerator}
    if "nvidia" in kinds:
        yield from ("nvidia-device-plugin", "dcgm-exporter")
    if "neuron" in kinds:
        yield "neuron-device-plugin"
    if any(pool.efa for pool in aws.pools):
        yield "efa-device-plugin"
