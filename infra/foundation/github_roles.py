"""Roles that GitHub Actions assumes without any stored key: one to preview, one to ship models."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import eks, iam

from infra.foundation import grants, policy_text, rights
from infra.foundation.grants import Statement
from infra.foundation.place import Place
from infra.foundation.settings import Github


@dataclass(frozen=True, kw_only=True)
class GithubRolesArgs:
    """Of which repository; None: there are no such roles."""

    place: Place
    github: Github | None
    cluster: pulumi.Input[str]


class GithubRoles(pulumi.ComponentResource):
    """What a pull request may read, and what a merge may release. Deploying is bootstrap's role."""

    def __init__(
        self, name: str, args: GithubRolesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:GithubRoles", name, None, opts)
        if args.github:
            self._roles(name, args, args.github)
        self.register_outputs({})

    def _roles(self, name: str, args: GithubRolesArgs, github: Github) -> None:
        any_key = args.place.arn("kms", "key/*")
        self._role(
            f"{name}-preview",
            args.place,
            "preview",
            rights.subject_of_pull_requests(github.repository),
            rights.preview(args.place, any_key),
        )
        shipper = self._role(
            f"{name}-ship",
            args.place,
            "ship",
            rights.subject_of_branch(github.repository, github.branch),
            rights.ship(args.place, any_key),
        )
        eks.AccessEntry(
            f"{name}-ship-entry",
            cluster_name=args.cluster,
            principal_arn=shipper.arn,
            kubernetes_groups=[rights.SHIPPERS],
            type="STANDARD",
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _role(
        self, name: str, place: Place, called: str, subject: str, statements: list[Statement]
    ) -> iam.Role:
        options = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            f"{name}-role",
            name=f"{place.prefix}-{called}",
            assume_role_policy=policy_text.of(grants.github(rights.provider(place), subject)),
            max_session_duration=3600,
            opts=options,
        )
        iam.RolePolicy(
            f"{name}-rights", role=role.id, policy=policy_text.of(*statements), opts=options
        )
        return role
