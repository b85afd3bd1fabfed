"""IAM statements: who may assume a role, and what it may do. Plain data; values may be outputs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.foundation.place import GITHUB

if TYPE_CHECKING:
    import pulumi

Statement = dict[str, Any]

VERSION = "2012-10-17"


def document(*statements: Statement) -> dict[str, Any]:
    """A policy document of statements."""
    return {"Version": VERSION, "Statement": list(statements)}


def allow(
    actions: Sequence[str],
    resources: Sequence["pulumi.Input[str]"],
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


def only_tls(*resources: "pulumi.Input[str]") -> Statement:
    """Deny whoever does not come over TLS."""
    return {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": ["s3:*"],
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def trust(service: str) -> Statement:
    """A role that an AWS service assumes."""
    return {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole"]}


def pods() -> Statement:
    """A role that pods assume through EKS Pod Identity."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }


def people(roles: Sequence[str]) -> Statement:
    """A role that people assume from roles of their own."""
    return {"Effect": "Allow", "Principal": {"AWS": list(roles)}, "Action": ["sts:AssumeRole"]}


def github(provider: "pulumi.Input[str]", subject: str) -> Statement:
    """Trust of a role that GitHub Actions assumes with a token of exactly one kind of run."""
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {
            "StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com", f"{GITHUB}:sub": subject}
        },
    }
