"""Namespaces: quotas, Pod Security, and a network that denies what nobody allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_kubernetes.core.v1 import Namespace, ResourceQuota, ResourceQuotaSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.contract import Contract
from infra.environment import Quota
from infra.platform import pods, policies, spaces


@dataclass(frozen=True, kw_only=True)
class Space:
    """One namespace. The quota bounds a fault, such as a controller that makes pods without end."""

    name: str
    security: Literal["restricted", "privileged"] = "restricted"
    reason: str = ""
    """Why it may not be restricted."""
    pods: int = 10
    cpu: str = "2"
    memory_gib: int = 4


SPACES = (
    Space(
        name=spaces.STORAGE,
        security="privileged",
        reason="the provisioner's helper pods make and remove folders of nodes (hostPath, root)",
    ),
    Space(name=spaces.REGISTRY),
    Space(name=spaces.GATEWAY, pods=20, cpu="4"),
    Space(name=spaces.DELIVERY),
    Space(name=spaces.MONITORING, cpu="4", memory_gib=16),
    Space(
        name=spaces.ACCELERATORS,
        security="privileged",
        reason="a device plugin puts its socket into the kubelet's folder (hostPath, root)",
        pods=500,
        cpu="10",
        memory_gib=32,
    ),
)


AUTOSCALED = Space(name=spaces.AUTOSCALING)


@dataclass(frozen=True, kw_only=True)
class NamespacesArgs:
    """The contract of the cluster that gets the namespaces, and what all models may use."""

    contract: Contract
    models: Quota


def wanted(args: NamespacesArgs) -> tuple[Space, ...]:
    """The namespaces of a cluster."""
    quota = args.models
    models = Space(
        name=spaces.MODELS, pods=quota.pods, cpu=str(quota.cpu), memory_gib=quota.memory_gib
    )
    every = (*SPACES, models, AUTOSCALED) if args.contract.autoscaling else (*SPACES, models)
    left_out = spaces.left_out(args.contract)
    return tuple(space for space in every if space.name not in left_out)


class Namespaces(pulumi.ComponentResource):
    """All namespaces of modelyard. What a component allows on the network stands with it."""

    names: Mapping[str, pulumi.Input[str]]
    """By name, as outputs: what is made in a namespace waits for it. Of one that is left out only
    the name, which nothing is made in."""

    def __init__(
        self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Namespaces", name, None, opts)
        self.names = {name: name for name in spaces.left_out(args.contract)} | {
            space.name: self._make(name, args.contract, space) for space in wanted(args)
        }
        self.register_outputs({"names": dict(self.names)})

    def _make(self, name: str, contract: Contract, space: Space) -> pulumi.Output[str]:
        options = pulumi.ResourceOptions(parent=self)
        levels = ("enforce", "audit", "warn")
        security: dict[str, str] = {
            f"pod-security.kubernetes.io/{level}": space.security for level in levels
        }
        namespace = Namespace(
            f"{name}-{space.name}",
            metadata=ObjectMetaArgs(
                name=space.name,
                labels=pods.labels(contract, space.name) | security,
                annotations={"modelyard.dev/privileged-because": space.reason}
                if space.reason
                else None,
            ),
            opts=options,
        )
        created = namespace.metadata.name
        ResourceQuota(
            f"{name}-{space.name}-quota",
            metadata=pods.meta(contract, space.name, created, "quota"),
            spec=ResourceQuotaSpecArgs(
                hard={
                    "pods": str(space.pods),
                    "requests.cpu": space.cpu,
                    "requests.memory": f"{space.memory_gib}Gi",
                    "limits.memory": f"{2 * space.memory_gib}Gi",
                }
            ),
            opts=options,
        )
        policies.deny(f"{name}-{space.name}", contract, created, self)
        return created
