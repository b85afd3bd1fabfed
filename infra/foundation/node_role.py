"""What a node may do in the account: join the cluster and pull images. Pods have own roles."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import iam

from infra.foundation import grants, policy_text
from infra.foundation.place import Place

MANAGED = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")


@dataclass(frozen=True, kw_only=True)
class NodeRoleArgs:
    """``caches``: prefixes of repositories that a pull may create from their upstream."""

    place: Place
    caches: Sequence[str]


class NodeRole(pulumi.ComponentResource):
    """One role for the nodes of all pools."""

    arn: pulumi.Output[str]
    ready: list[pulumi.Resource]

    def __init__(
        self, name: str, args: NodeRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:NodeRole", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            f"{name}-role",
            name=f"{args.place.prefix}-node",
            assume_role_policy=policy_text.of(grants.trust("ec2.amazonaws.com")),
            opts=options,
        )
        self.ready = [
            iam.RolePolicyAttachment(
                f"{name}-{policy}",
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=options,
            )
            for policy in MANAGED
        ]
        if args.caches:
            cached = [args.place.arn("ecr", f"repository/{prefix}/*") for prefix in args.caches]
            rights = grants.allow(["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"], cached)
            iam.RolePolicy(
                f"{name}-caches", role=role.id, policy=policy_text.of(rights), opts=options
            )
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})
