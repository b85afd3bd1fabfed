"""Simulated GPUs: a device plugin on the nodes of every simulated pool."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import DaemonSet, DaemonSetSpecArgs
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    HostPathVolumeSourceArgs,
    ObjectFieldSelectorArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    SeccompProfileArgs,
    ServiceAccount,
    TolerationArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.contract import Contract, Pool
from infra.platform import access, known, pods, spaces

_SOCKETS = "/var/lib/kubelet/device-plugins"


@dataclass(frozen=True, kw_only=True)
class AcceleratorsArgs:
    """Where the plugin runs; the contract says which pools are simulated."""

    contract: Contract
    namespace: pulumi.Input[str]


class Accelerators(pulumi.ComponentResource):
    """The device plugin of simulated pools. Real GPUs bring their vendor's own plugin."""

    def __init__(
        self, name: str, args: AcceleratorsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Accelerators", name, None, opts)
        pools = [pool for pool in args.contract.pools if pool.simulated]
        if pools:
            account = access.account(
                name, args.contract, spaces.DEVICE_PLUGIN, args.namespace, self
            )
            for pool in pools:
                self._plugin(f"{name}-{pool.name}", args, pool, account)
        self.register_outputs({})

    def _plugin(
        self, name: str, args: AcceleratorsArgs, pool: Pool, account: ServiceAccount
    ) -> None:
        called = f"{spaces.DEVICE_PLUGIN}-{pool.name}"
        marks = pods.labels(args.contract, spaces.DEVICE_PLUGIN) | {"modelyard.dev/pool": pool.name}
        selector = {pods.NAME: spaces.DEVICE_PLUGIN, "modelyard.dev/pool": pool.name}
        DaemonSet(
            f"{name}-plugin",
            metadata=pods.meta(args.contract, spaces.DEVICE_PLUGIN, args.namespace, called),
            spec=DaemonSetSpecArgs(
                revision_history_limit=2,
                selector=LabelSelectorArgs(match_labels=selector),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels=marks),
                    spec=_pod(args.contract, pool, account),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _pod(contract: Contract, pool: Pool, account: ServiceAccount) -> PodSpecArgs:
    return PodSpecArgs(
        service_account_name=account.metadata.name,
        automount_service_account_token=False,
        enable_service_links=False,
        node_selector=pool.labels,
        tolerations=[_tolerates(pool.taint)] if pool.taint else None,
        priority_class_name="system-node-critical",
        security_context=PodSecurityContextArgs(
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault")
        ),
        containers=[_container(contract, pool)],
        volumes=[
            VolumeArgs(
                name="sockets",
                host_path=HostPathVolumeSourceArgs(path=_SOCKETS, type="Directory"),
            )
        ],
    )


def _container(contract: Contract, pool: Pool) -> ContainerArgs:
    node = EnvVarSourceArgs(
        field_ref=ObjectFieldSelectorArgs(api_version="v1", field_path="spec.nodeName")
    )
    return ContainerArgs(
        name=spaces.DEVICE_PLUGIN,
        image=known.image(contract, "modelyard/gpu-device-plugin"),
        image_pull_policy="IfNotPresent",
        env=[
            EnvVarArgs(name="MODELYARD_GPUS", value=str(pool.gpus_per_node)),
            EnvVarArgs(name="MODELYARD_NODE", value_from=node),
        ],
        resources=pods.resources("10m", "48Mi", cpu_limit="500m", memory_limit="128Mi"),
        # Root: the kubelet's folder of sockets is root's, and nobody else may write there.
        security_context=pods.locked(user=0),
        volume_mounts=[VolumeMountArgs(name="sockets", mount_path=_SOCKETS)],
    )


def _tolerates(taint: str) -> TolerationArgs:
    """``key=value:effect`` as a toleration."""
    mark, _, effect = taint.rpartition(":")
    key, _, value = mark.partition("=")
    return TolerationArgs(key=key, operator="Equal", value=value, effect=effect)
