"""The pods of a model, and how a new version replaces the old one."""

import pulumi
from pulumi_kubernetes import core, meta

from infra.contract import Pool
from infra.models import labels
from infra.models.release import DEADLINE_SECONDS, Release
from infra.platform import pods, spaces

USER = 1034
"""User and group that BentoML's images run as."""

SCRATCH = "64Mi"

GRACE_SECONDS = 60
# A cold start on a busy machine: loading, and BentoML's own start.
START_SECONDS = 300


def rollout(
    release: Release, image: str, environment: str, pool: Pool, pull_secret: str | None
) -> dict[str, object]:
    """The Rollout's spec. It names no replicas: the autoscaler owns their number."""
    return {
        "selector": {"matchLabels": labels.selector(release.name)},
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": DEADLINE_SECONDS,
        "strategy": {"canary": _canary(release)},
        "template": template(release, image, environment, pool, pull_secret),
    }


def _canary(release: Release) -> dict[str, object]:
    canary: dict[str, object] = {
        "stableService": labels.stable(release.name),
        "canaryService": labels.canary(release.name),
        "trafficRouting": {"traefik": {"weightedTraefikServiceName": release.name}},
    }
    if release.weight is not None:
        canary["steps"] = [{"setWeight": release.weight}, {"pause": {}}]
    return canary


def template(
    release: Release, image: str, environment: str, pool: Pool, pull_secret: str | None
) -> core.v1.PodTemplateSpecArgs:
    """A pod of this release: nothing in it changes unless the release's Serving does."""
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(
            labels=labels.pod_labels(release.name, environment, release.version)
        ),
        spec=core.v1.PodSpecArgs(
            service_account_name=spaces.MODEL_ACCOUNT,
            automount_service_account_token=False,
            enable_service_links=False,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=pull_secret)]
            if pull_secret
            else None,
            termination_grace_period_seconds=GRACE_SECONDS,
            node_selector=pool.labels,
            tolerations=_tolerations(pool),
            topology_spread_constraints=[
                core.v1.TopologySpreadConstraintArgs(
                    max_skew=1,
                    topology_key="kubernetes.io/hostname",
                    when_unsatisfiable="ScheduleAnyway",
                    label_selector=meta.v1.LabelSelectorArgs(
                        match_labels=labels.selector(release.name)
                    ),
                )
            ],
            security_context=core.v1.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=USER,
                run_as_group=USER,
                fs_group=USER,
                seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            containers=[_container(release, image)],
            volumes=[
                core.v1.VolumeArgs(
                    name="tmp", empty_dir=core.v1.EmptyDirVolumeSourceArgs(size_limit=SCRATCH)
                )
            ],
        ),
    )


def _container(release: Release, image: str) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
        name="model",
        image=image,
        image_pull_policy="IfNotPresent",
        ports=[core.v1.ContainerPortArgs(name=labels.PORT_NAME, container_port=labels.PORT)],
        env=[
            core.v1.EnvVarArgs(name=name, value=value)
            for name, value in {
                "MODELYARD_DIGEST": release.digest,
                "MODELYARD_MODEL_VERSION": release.version,
            }.items()
        ],
        resources=_resources(release),
        security_context=core.v1.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
        ),
        # All that an image may write to: its HOME and BENTOML_HOME lie there.
        volume_mounts=[core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")],  # noqa: S108
        startup_probe=_probe("/readyz", every=2, times=START_SECONDS // 2),
        readiness_probe=_probe("/readyz", every=5, times=3),
        # A minute without an answer: a busy machine must not get its pods killed.
        liveness_probe=_probe("/livez", every=10, times=6),
        lifecycle=pods.drained(),
    )


def _probe(path: str, *, every: int, times: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port=labels.PORT_NAME),
        period_seconds=every,
        timeout_seconds=5,
        failure_threshold=times,
    )


def _resources(release: Release) -> core.v1.ResourceRequirementsArgs:
    # No limit on cores: throttling costs latency, and requests already share a busy node fairly.
    requests: dict[str, pulumi.Input[str]] = {
        "cpu": release.resources.cpu,
        "memory": release.resources.memory,
    }
    limits: dict[str, pulumi.Input[str]] = {"memory": release.resources.memory}
    if release.gpus:
        limits["nvidia.com/gpu"] = str(release.gpus)
        requests["nvidia.com/gpu"] = str(release.gpus)
    return core.v1.ResourceRequirementsArgs(requests=requests, limits=limits)


def _tolerations(pool: Pool) -> list[core.v1.TolerationArgs] | None:
    if pool.taint is None:
        return None  # not an empty list: the controller drops it, which then looks like a change
    pair, _, effect = pool.taint.partition(":")
    key, _, value = pair.partition("=")
    return [core.v1.TolerationArgs(key=key, operator="Equal", value=value, effect=effect)]
