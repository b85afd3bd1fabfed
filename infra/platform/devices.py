"""What vendors' plugins offer on the nodes of an account: GPUs, Neuron devices, fabric adapters."""

from dataclasses import dataclass

import pulumi

from infra.contract import Contract
from infra.platform.fabric import Fabric, FabricArgs
from infra.platform.gpu_nodes import GpuNodes, GpuNodesArgs
from infra.platform.neuron_nodes import NeuronNodes, NeuronNodesArgs


@dataclass(frozen=True, kw_only=True)
class DevicesArgs:
    """Where the plugins run; the contract says which pools have what."""

    contract: Contract
    namespace: pulumi.Input[str]


class Devices(pulumi.ComponentResource):
    """The plugins that the pools need, none on a cluster without such pools."""

    def __init__(
        self, name: str, args: DevicesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Devices", name, None, opts)
        if "devices" not in args.contract.existing:
            self._install(args.contract, args.namespace)
        self.register_outputs({})

    def _install(self, contract: Contract, namespace: pulumi.Input[str]) -> None:
        below = pulumi.ResourceOptions(parent=self)
        GpuNodes("gpu-nodes", GpuNodesArgs(contract=contract, namespace=namespace), below)
        NeuronNodes("neuron-nodes", NeuronNodesArgs(contract=contract, namespace=namespace), below)
        Fabric("fabric", FabricArgs(contract=contract, namespace=namespace), below)
