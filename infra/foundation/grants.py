"""IAM documents: who may assume a role, and what it may do. Plain data; values may be outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

Statement = dict[str, Any]

VERSION = "2012-10-17"


def document(*statements: Statement) -> pulumi.Output[str]:
    """A policy document as text, also when parts of it are known only later."""
    return pulumi.Output.json_dumps({"Version": VERSION, "Statement": list(statements)})


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    conditions: Mapping[str, Any] | None = None,
    principal: Mapping[str, Any] | None = None,
) -> Statement:
    """One statement that allows."""
    statement: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    if conditions:
        statement["Condition"] = dict(conditions)
    if principal:
        statement["Principal"] = dict(principal)
    return statement


def only_tls(*resources: pulumi.Input[str]) -> Statement:
    """Deny whoever does not come over TLS."""
    return {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": ["s3:*"],
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def trust(service: str) -> pulumi.Output[str]:
    """A role that an AWS service assumes."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole"],
    }
    return document(statement)


def pods() -> pulumi.Output[str]:
    """A role that pods assume through EKS Pod Identity."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    return document(statement)


def github(provider: pulumi.Input[str], subject: str) -> Statement:
    """Trust of a role that GitHub Actions assumes with a token of exactly one kind of run."""
    issuer = "token.actions.githubusercontent.com"
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        },
    }
