"""Who releases models without administering the cluster: CI, by the group that its role has."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.rbac.v1 import Role, RoleBinding, RoleRefArgs, SubjectArgs

from infra.contract import Contract
from infra.platform import access, pods

WRITE = (*access.READ, "create", "update", "patch", "delete")
_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class ShippersArgs:
    """The namespace of models; the contract says whether there is such a group."""

    contract: Contract
    namespace: pulumi.Input[str]


class Shippers(pulumi.ComponentResource):
    """Rights to make what a model is made of. Secrets, accounts and networks are the platform's."""

    def __init__(
        self, name: str, args: ShippersArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Shippers", name, None, opts)
        if args.contract.shippers:
            self._install(name, args, args.contract.shippers)
        self.register_outputs({})

    def _install(self, name: str, args: ShippersArgs, group: str) -> None:
        options = pulumi.ResourceOptions(parent=self)
        metadata = pods.meta(args.contract, "models", args.namespace, group)
        traefik = ["ingressroutes", "middlewares", "serverstransports", "traefikservices"]
        role = Role(
            f"{name}-role",
            metadata=metadata,
            rules=[
                access.rule("argoproj.io", ["rollouts"], WRITE),
                access.rule("traefik.io", traefik, WRITE),
                access.rule("autoscaling", ["horizontalpodautoscalers"], WRITE),
                access.rule("policy", ["poddisruptionbudgets"], WRITE),
                access.rule("", ["services"], WRITE),
                # To tell why a release does not come up.
                access.rule("", ["events", "pods", "pods/log"], access.READ),
                access.rule("apps", ["replicasets"], access.READ),
            ],
            opts=options,
        )
        RoleBinding(
            f"{name}-binding",
            metadata=metadata,
            role_ref=RoleRefArgs(api_group=_GROUP, kind="Role", name=role.metadata.name),
            subjects=[SubjectArgs(kind="Group", name=group, api_group=_GROUP)],
            opts=options,
        )
