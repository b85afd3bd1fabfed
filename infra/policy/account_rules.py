"""The rules for accounts: what each demands, and which faults break it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import PositiveInt, RootModel

from infra import refusal
from infra.names import DnsLabel
from infra.policy import accounts, documents

CEILINGS = Path(__file__).parent / "ceilings.yaml"


class _Ceilings(RootModel[dict[DnsLabel, PositiveInt]]):
    pass


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One resource of an account, as a rule sees it."""

    kind: str
    inputs: dict[str, Any]
    default_tags: Any
    """Tags that its provider gives to all; UNKNOWN where that cannot be told."""
    environment: str


@dataclass(frozen=True, kw_only=True)
class AccountRule:
    """A rule for single resources of an account."""

    name: str
    says: str
    remedy: str
    faults: Callable[[Asked], list[str]]


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A rule for a whole stack: each resource of a type needs one of another type that names it."""

    name: str
    says: str
    remedy: str
    of: str
    needs: str
    by: str | None
    """Property of the companion that comes from the resource; None: one for the stack is enough."""


def ceiling(environment: str) -> int | None:
    """US dollars that a month of an environment may cost; None where nobody has said."""
    return refusal.read(CEILINGS, _Ceilings).root.get(environment)


RULES = (
    AccountRule(
        name="nothing-public",
        says="Nothing in an account answers the internet: no endpoint, bucket, database, or rule "
        "that lets everybody in.",
        remedy="Keep it inside the VPC; for the API server, name the ranges that may reach it.",
        faults=lambda asked: accounts.public(asked.kind, asked.inputs),
    ),
    AccountRule(
        name="encrypted",
        says="What is stored or logged is encrypted with a key of the account, and keys rotate.",
        remedy="Give it a key of infra/foundation/keys.py.",
        faults=lambda asked: accounts.open_text(asked.kind, asked.inputs),
    ),
    AccountRule(
        name="least-rights",
        says="A right names its actions and its resources: no * for either where something is "
        "changed.",
        remedy="Name the actions and the ARNs, or bind the statement by a condition.",
        faults=lambda asked: documents.wildcards(asked.kind, asked.inputs),
    ),
    AccountRule(
        name="cost-tags",
        says="Every resource says whose costs it makes.",
        remedy="Use the provider of infra/foundation/site.py, whose default tags say it.",
        faults=lambda asked: accounts.untagged(asked.kind, asked.inputs, asked.default_tags),
    ),
    AccountRule(
        name="budget-ceiling",
        says="A month's budget stays under the ceiling of its environment.",
        remedy="Lower aws.budget.usd_a_month, or let the owners raise infra/policy/ceilings.yaml.",
        faults=lambda asked: accounts.over_budget(
            asked.kind, asked.inputs, ceiling(asked.environment)
        ),
    ),
)

COMPANIONS = (
    Companion(
        name="buckets-closed",
        says="Every bucket has a block of public access.",
        remedy="Add a BucketPublicAccessBlock for it.",
        of="aws:s3/bucket:Bucket",
        needs="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        by="bucket",
    ),
    Companion(
        name="buckets-encrypted",
        says="Every bucket says with which key it is encrypted.",
        remedy="Add a BucketServerSideEncryptionConfiguration for it.",
        of="aws:s3/bucket:Bucket",
        needs="aws:s3/bucketServerSideEncryptionConfiguration:"
        "BucketServerSideEncryptionConfiguration",
        by="bucket",
    ),
    Companion(
        name="budgeted",
        says="An account with a cluster has a budget.",
        remedy="Add a Budget to the stack.",
        of="aws:eks/cluster:Cluster",
        needs="aws:budgets/budget:Budget",
        by=None,
    ),
)
