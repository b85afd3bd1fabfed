"""What nodes with real NVIDIA GPUs run: the vendor's device plugin, and its exporter of metrics.

Driver and container toolkit are the node image's (infra/foundation/tables/sets.yaml).
"""

from dataclasses import dataclass

import pulumi
import yaml
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    ServiceAccount,
    VolumeArgs,
    VolumeMountArgs,
)

from infra.contract import Contract, Pool
from infra.platform import access, known, node_daemons, pods, policies, spaces

_RESOURCES = "/var/lib/kubelet/pod-resources"
_CONFIG = "/etc/nvidia-device-plugin"


@dataclass(frozen=True, kw_only=True)
class GpuNodesArgs:
    """Where both run; the contract says which pools have GPUs, and how these are shared."""

    contract: Contract
    namespace: pulumi.Input[str]


class GpuNodes(pulumi.ComponentResource):
    """A device plugin and a DCGM exporter for each pool of real GPUs."""

    def __init__(
        self, name: str, args: GpuNodesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:GpuNodes", name, None, opts)
        pools = [pool for pool in args.contract.pools if pool.kind == "gpu" and not pool.simulated]
        if pools:
            self._install(name, args, pools)
        self.register_outputs({})

    def _install(self, name: str, args: GpuNodesArgs, pools: list[Pool]) -> None:
        contract = args.contract
        accounts = {
            component: access.account(
                f"{name}-{component}", contract, component, args.namespace, self
            )
            for component in (spaces.NVIDIA_PLUGIN, spaces.DCGM)
        }
        prometheus = policies.prometheus(contract)
        policies.allow(
            name,
            contract,
            args.namespace,
            spaces.DCGM,
            self,
            hears=[policies.Talk(prometheus, (spaces.DCGM_PORT,))],
        )
        for pool in pools:
            self._plugin(name, args, pool, accounts[spaces.NVIDIA_PLUGIN])
            self._daemon(
                f"{name}-{pool.name}-metrics",
                args,
                pool,
                accounts[spaces.DCGM],
                _exporter(contract),
                [node_daemons.folder("resources", _RESOURCES)],
            )

    def _plugin(self, name: str, args: GpuNodesArgs, pool: Pool, account: ServiceAccount) -> None:
        text = yaml.safe_dump(settings(pool), sort_keys=False)
        called = f"{spaces.NVIDIA_PLUGIN}-{pool.name}"
        configuration = ConfigMap(
            f"{name}-{pool.name}-settings",
            metadata=pods.meta(args.contract, spaces.NVIDIA_PLUGIN, args.namespace, called),
            data={"config.yaml": text},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._daemon(
            f"{name}-{pool.name}-plugin",
            args,
            pool,
            account,
            _plugin(args.contract, pool),
            [
                node_daemons.folder("sockets", node_daemons.SOCKETS),
                VolumeArgs(
                    name="settings",
                    config_map=ConfigMapVolumeSourceArgs(name=configuration.metadata.name),
                ),
            ],
            # It reads its configuration when it starts.
            annotations={"modelyard.dev/configuration": pods.digest({"config.yaml": text})},
        )

    def _daemon(
        self,
        name: str,
        args: GpuNodesArgs,
        pool: Pool,
        account: ServiceAccount,
        container: ContainerArgs,
        volumes: list[VolumeArgs],
        annotations: dict[str, str] | None = None,
    ) -> None:
        daemon = node_daemons.NodeDaemon(
            contract=args.contract,
            namespace=args.namespace,
            pool=pool,
            account=account,
            container=container,
            volumes=volumes,
            annotations=annotations,
            opts=pulumi.ResourceOptions(parent=self),
        )
        node_daemons.install(name, daemon)


def settings(pool: Pool) -> dict[str, object]:
    """The plugin's configuration: how it offers the GPUs of a pool."""
    document: dict[str, object] = {
        "version": "v1",
        "flags": {
            # All GPUs of a node are divided alike, so their parts are plain nvidia.com/gpu.
            "migStrategy": "single" if pool.mig else "none",
            "failOnInitError": True,
            "plugin": {"deviceIDStrategy": "uuid"},
        },
    }
    if pool.replicas > 1:
        shared = {"name": "nvidia.com/gpu", "replicas": pool.replicas}
        document["sharing"] = {"timeSlicing": {"resources": [shared]}}
    return document


def _plugin(contract: Contract, pool: Pool) -> ContainerArgs:
    visible = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    if pool.mig:
        visible["NVIDIA_MIG_MONITOR_DEVICES"] = "all"
    return ContainerArgs(
        name=spaces.NVIDIA_PLUGIN,
        image=known.image(contract, f"modelyard/{spaces.NVIDIA_PLUGIN}"),
        image_pull_policy="IfNotPresent",
        env=[
            EnvVarArgs(name="CONFIG_FILE", value=f"{_CONFIG}/config.yaml"),
            *(EnvVarArgs(name=name, value=value) for name, value in visible.items()),
        ],
        resources=pods.resources("10m", "64Mi", cpu_limit="500m", memory_limit="256Mi"),
        # Root: the kubelet's folder of sockets is root's. To watch the parts of a divided GPU the
        # toolkit asks for SYS_ADMIN.
        security_context=pods.locked(user=0, add=["SYS_ADMIN"] if pool.mig else []),
        volume_mounts=[
            VolumeMountArgs(name="sockets", mount_path=node_daemons.SOCKETS),
            VolumeMountArgs(name="settings", mount_path=_CONFIG, read_only=True),
        ],
    )


def _exporter(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.DCGM,
        image=known.image(contract, f"modelyard/{spaces.DCGM}"),
        image_pull_policy="IfNotPresent",
        env=[
            EnvVarArgs(name="DCGM_EXPORTER_LISTEN", value=f":{spaces.DCGM_PORT}"),
            # Series carry the pod that has the GPU.
            EnvVarArgs(name="DCGM_EXPORTER_KUBERNETES", value="true"),
        ],
        ports=[ContainerPortArgs(name=spaces.METRICS_PORT, container_port=spaces.DCGM_PORT)],
        resources=pods.resources("100m", "128Mi", cpu_limit="500m", memory_limit="512Mi"),
        # Root: the kubelet's socket of pod resources is root's. Without SYS_ADMIN there are no
        # profiling series; use, memory, heat and faults are there.
        security_context=pods.locked(user=0),
        startup_probe=pods.starting("/health", spaces.METRICS_PORT),
        readiness_probe=pods.probe("/health", spaces.METRICS_PORT),
        liveness_probe=pods.probe("/health", spaces.METRICS_PORT, period=20),
        volume_mounts=[VolumeMountArgs(name="resources", mount_path=_RESOURCES, read_only=True)],
    )
