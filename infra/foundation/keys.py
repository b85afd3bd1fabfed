"""KMS keys, one for each kind of thing, so that a right to one is no right to the others."""

from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_aws import kms

from infra.foundation import grants, policy_text
from infra.foundation.grants import Statement
from infra.foundation.place import Place

Use = Literal["cluster", "disks", "data", "logs"]
USES: dict[Use, str] = {
    "cluster": "Secrets of Kubernetes",
    "disks": "Volumes of nodes and of pods",
    "data": "Images, artifacts, databases, secrets",
    "logs": "Logs of the network, the cluster and databases",
}
USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    """Whose keys."""

    place: Place


class Keys(pulumi.ComponentResource):
    """Keys that rotate every year and take 30 days to delete."""

    arns: dict[Use, pulumi.Output[str]]

    def __init__(
        self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Keys", name, None, opts)
        self.arns = {}
        for use, what in USES.items():
            key = kms.Key(
                f"{name}-{use}",
                description=f"{args.place.prefix}: {what}",
                enable_key_rotation=True,
                deletion_window_in_days=30,
                policy=policy_text.of(_owner(args.place), *_services(args.place, use)),
                opts=pulumi.ResourceOptions(parent=self),
            )
            kms.Alias(
                f"{name}-{use}-alias",
                name=f"alias/{args.place.prefix}-{use}",
                target_key_id=key.key_id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.arns[use] = key.arn
        self.register_outputs({"arns": dict(self.arns)})


def _owner(place: Place) -> Statement:
    """IAM decides within the account. Without this statement nobody could ever change the key."""
    return {
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{place.account}:root"},
        "Action": ["kms:*"],
        "Resource": ["*"],
    }


def _services(place: Place, use: Use) -> list[Statement]:
    if use == "logs":
        context = {"kms:EncryptionContext:aws:logs:arn": place.arn("logs", "*")}
        return [
            grants.allow(
                USE,
                ["*"],
                {"ArnLike": context},
                {"Service": f"logs.{place.region}.amazonaws.com"},
            )
        ]
    if use == "disks":
        # The role that starts instances for node groups; it opens their encrypted volumes.
        scaling = (
            f"arn:aws:iam::{place.account}:role/aws-service-role/autoscaling.amazonaws.com/"
            "AWSServiceRoleForAutoScaling"
        )
        return [
            grants.allow(USE, ["*"], None, {"AWS": scaling}),
            grants.allow(
                ["kms:CreateGrant"],
                ["*"],
                {"Bool": {"kms:GrantIsForAWSResource": "true"}},
                {"AWS": scaling},
            ),
        ]
    return []
