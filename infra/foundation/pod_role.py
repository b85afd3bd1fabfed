"""Rights of pods in the account: a role for one service account of one namespace."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam

from infra.foundation import grants, policy_text
from infra.foundation.grants import Statement
from infra.foundation.place import Place


@dataclass(frozen=True, kw_only=True)
class PodRoleArgs:
    """Who gets which rights. An add-on makes the association by itself: ``associate`` False."""

    place: Place
    called: str
    cluster: pulumi.Input[str]
    namespace: str
    service_account: str
    managed: Sequence[str] = ()
    """Names of AWS's own policies, with their path."""
    statements: Sequence[Statement] = ()
    associate: bool = True


class PodRole(pulumi.ComponentResource):
    """A role that EKS Pod Identity gives to pods; no key and no token is stored anywhere."""

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: PodRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:PodRole", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            f"{name}-role",
            name=f"{args.place.prefix}-{args.called}",
            assume_role_policy=policy_text.of(grants.pods()),
            opts=options,
        )
        for policy in args.managed:
            iam.RolePolicyAttachment(
                f"{name}-{policy.rsplit('/', 1)[-1]}",
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/{policy}",
                opts=options,
            )
        if args.statements:
            iam.RolePolicy(
                f"{name}-rights",
                role=role.id,
                policy=policy_text.of(*args.statements),
                opts=options,
            )
        if args.associate:
            eks.PodIdentityAssociation(
                f"{name}-association",
                cluster_name=args.cluster,
                namespace=args.namespace,
                service_account=args.service_account,
                role_arn=role.arn,
                opts=options,
            )
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})
