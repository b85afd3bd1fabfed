"""What runs once on each node of a pool: device plugins and exporters."""

from dataclasses import dataclass, field

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
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.contract import Contract, Pool
from infra.platform import pods

SOCKETS = "/var/lib/kubelet/device-plugins"
"""Where the kubelet and device plugins meet."""


@dataclass(frozen=True, kw_only=True)
class NodeDaemon:
    """One container on every node of a pool, in a pod that may use folders of the node."""

    contract: Contract
    namespace: pulumi.Input[str]
    pool: Pool
    account: ServiceAccount
    container: ContainerArgs
    volumes: list[VolumeArgs]
    tolerations: list[TolerationArgs] | None = field(
        default_factory=lambda: [TolerationArgs(operator="Exists")]
    )
    """Unless told otherwise it runs on every node of the pool, whatever guards that."""
    annotations: dict[str, str] | None = None
    """Of the pod: another value replaces it."""
    calls_api: bool = False
    host_network: bool = False
    opts: pulumi.ResourceOptions = field(default_factory=pulumi.ResourceOptions)


def install(name: str, daemon: NodeDaemon) -> None:
    """Make the DaemonSet, named after its container and its pool."""
    component, pool = str(daemon.container.name), daemon.pool
    of_pool = {"modelyard.dev/pool": pool.name}
    DaemonSet(
        name,
        metadata=pods.meta(
            daemon.contract, component, daemon.namespace, f"{component}-{pool.name}"
        ),
        spec=DaemonSetSpecArgs(
            revision_history_limit=2,
            selector=LabelSelectorArgs(match_labels={pods.NAME: component} | of_pool),
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(
                    labels=pods.labels(daemon.contract, component) | of_pool,
                    annotations=daemon.annotations,
                ),
                spec=PodSpecArgs(
                    service_account_name=daemon.account.metadata.name,
                    automount_service_account_token=daemon.calls_api,
                    host_network=True if daemon.host_network else None,
                    enable_service_links=False,
                    node_selector=pool.labels,
                    tolerations=daemon.tolerations,
                    priority_class_name="system-node-critical",
                    security_context=PodSecurityContextArgs(
                        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault")
                    ),
                    containers=[daemon.container],
                    volumes=daemon.volumes,
                ),
            ),
        ),
        opts=daemon.opts,
    )


def own_node(variable: str) -> EnvVarArgs:
    """Tells a container the name of the node it runs on."""
    field_ref = ObjectFieldSelectorArgs(api_version="v1", field_path="spec.nodeName")
    return EnvVarArgs(name=variable, value_from=EnvVarSourceArgs(field_ref=field_ref))


def folder(name: str, path: str) -> VolumeArgs:
    """A folder of the node that is there already."""
    return VolumeArgs(name=name, host_path=HostPathVolumeSourceArgs(path=path, type="Directory"))
