"""What nodes with Neuron devices run: AWS's device plugin. The driver is the node image's."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ServiceAccount,
    VolumeMountArgs,
)

from infra.contract import Contract
from infra.platform import access, known, node_daemons, pods, policies, spaces

_RUN = "/run"
"""The plugin leaves there which device has which number."""


@dataclass(frozen=True, kw_only=True)
class NeuronNodesArgs:
    """Where the plugin runs; the contract says which pools have Neuron devices."""

    contract: Contract
    namespace: pulumi.Input[str]


class NeuronNodes(pulumi.ComponentResource):
    """The device plugin of each Neuron pool: pods ask for `aws.amazon.com/neuron`."""

    def __init__(
        self, name: str, args: NeuronNodesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:NeuronNodes", name, None, opts)
        contract, component = args.contract, spaces.NEURON_PLUGIN
        pools = [pool for pool in contract.pools if pool.kind == "neuron"]
        if pools:
            account = access.account(name, contract, component, args.namespace, self)
            server = [policies.api_server(contract), policies.name_service()]
            policies.allow(name, contract, args.namespace, component, self, speaks=server)
            rights = self._rights(name, contract, account)
            for pool in pools:
                daemon = node_daemons.NodeDaemon(
                    contract=contract,
                    namespace=args.namespace,
                    pool=pool,
                    account=account,
                    container=_container(contract),
                    volumes=[
                        node_daemons.folder("sockets", node_daemons.SOCKETS),
                        node_daemons.folder("run", _RUN),
                    ],
                    calls_api=True,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[rights]),
                )
                node_daemons.install(f"{name}-{pool.name}-plugin", daemon)
        self.register_outputs({})

    def _rights(self, name: str, contract: Contract, account: ServiceAccount) -> pulumi.Resource:
        """What the vendor's manifest gives it: pods carry which cores they got."""
        return access.in_cluster(
            name,
            contract,
            spaces.NEURON_PLUGIN,
            account,
            [
                access.rule("", ["nodes"], access.READ),
                access.rule("", ["nodes/status"], ["patch", "update"]),
                access.rule("", ["pods"], [*access.READ, "patch", "update"]),
                access.rule("", ["events"], ["create", "patch"]),
            ],
            self,
        )


def _container(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.NEURON_PLUGIN,
        image=known.image(contract, f"modelyard/{spaces.NEURON_PLUGIN}"),
        image_pull_policy="IfNotPresent",
        env=[node_daemons.own_node("NODE_NAME")],
        resources=pods.resources("10m", "64Mi", cpu_limit="500m", memory_limit="256Mi"),
        # Root: the kubelet's folder of sockets is root's.
        security_context=pods.locked(user=0),
        volume_mounts=[
            VolumeMountArgs(name="sockets", mount_path=node_daemons.SOCKETS),
            VolumeMountArgs(name="run", mount_path=_RUN),
        ],
    )
