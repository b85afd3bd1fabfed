"""What nodes with Elastic Fabric Adapters run: AWS's device plugin for them."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    SecurityContextArgs,
    VolumeMountArgs,
)

from infra.contract import Contract
from infra.platform import access, known, node_daemons, pods, spaces

_ADAPTERS = "/dev/infiniband"


@dataclass(frozen=True, kw_only=True)
class FabricArgs:
    """Where the plugin runs; the contract says which pools have adapters."""

    contract: Contract
    namespace: pulumi.Input[str]


class Fabric(pulumi.ComponentResource):
    """The device plugin of each pool with adapters: pods ask for `vpc.amazonaws.com/efa`."""

    def __init__(
        self, name: str, args: FabricArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Fabric", name, None, opts)
        contract = args.contract
        pools = [pool for pool in contract.pools if pool.efa]
        if pools:
            account = access.account(name, contract, spaces.EFA_PLUGIN, args.namespace, self)
            for pool in pools:
                daemon = node_daemons.NodeDaemon(
                    contract=contract,
                    namespace=args.namespace,
                    pool=pool,
                    account=account,
                    container=_container(contract),
                    volumes=[
                        node_daemons.folder("sockets", node_daemons.SOCKETS),
                        node_daemons.folder("adapters", _ADAPTERS),
                    ],
                    host_network=True,
                    opts=pulumi.ResourceOptions(parent=self),
                )
                node_daemons.install(f"{name}-{pool.name}-plugin", daemon)
        self.register_outputs({})


def _container(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.EFA_PLUGIN,
        image=known.image(contract, f"modelyard/{spaces.EFA_PLUGIN}"),
        image_pull_policy="IfNotPresent",
        resources=pods.resources("10m", "20Mi", cpu_limit="500m", memory_limit="128Mi"),
        # As AWS's chart has it for this version: it opens the node's own adapters, which only a
        # privileged container in the node's network sees. exemptions.yaml says so, too.
        security_context=SecurityContextArgs(
            privileged=True,
            allow_privilege_escalation=True,
            read_only_root_filesystem=True,
            run_as_non_root=False,
            run_as_user=0,
        ),
        volume_mounts=[
            VolumeMountArgs(name="sockets", mount_path=node_daemons.SOCKETS),
            VolumeMountArgs(name="adapters", mount_path=_ADAPTERS),
        ],
    )
