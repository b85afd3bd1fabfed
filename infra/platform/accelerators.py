"""Simulated GPUs: a device plugin on the nodes of every simulated pool."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    EnvVarArgs,
    TolerationArgs,
    VolumeMountArgs,
)

from infra import names
from infra.contract import Contract, Pool
from infra.platform import access, known, node_daemons, pods, spaces


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
                plugin = node_daemons.NodeDaemon(
                    contract=args.contract,
                    namespace=args.namespace,
                    pool=pool,
                    account=account,
                    container=_container(args.contract, pool),
                    volumes=[node_daemons.folder("sockets", node_daemons.SOCKETS)],
                    tolerations=[_tolerates(pool.taint)] if pool.taint else None,
                    opts=pulumi.ResourceOptions(parent=self),
                )
                node_daemons.install(f"{name}-{pool.name}-plugin", plugin)
        self.register_outputs({})


def _container(contract: Contract, pool: Pool) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.DEVICE_PLUGIN,
        image=known.image(contract, "modelyard/gpu-device-plugin"),
        image_pull_policy="IfNotPresent",
        env=[
            EnvVarArgs(name="MODELYARD_GPUS", value=str(pool.gpus_per_node)),
            node_daemons.own_node("MODELYARD_NODE"),
        ],
        resources=pods.resources("10m", "48Mi", cpu_limit="500m", memory_limit="128Mi"),
        # Root: the kubelet's folder of sockets is root's, and nobody else may write there.
        security_context=pods.locked(user=0),
        volume_mounts=[VolumeMountArgs(name="sockets", mount_path=node_daemons.SOCKETS)],
    )


def _tolerates(taint: str) -> TolerationArgs:
    """``key=value:effect`` as a toleration."""
    key, value, effect = names.taint(taint)
    return TolerationArgs(key=key, operator="Equal", value=value, effect=effect)
