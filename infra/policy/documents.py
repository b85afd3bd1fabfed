"""Policy documents of IAM: what they allow, to whom, and where they say ``*``."""

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.policy.inputs import UNKNOWN, at, items

Statement = dict[str, Any]

READING = re.compile(r"^[a-z0-9-]+:(Describe|Get|List|BatchGet|BatchCheck|Lookup)", re.IGNORECASE)
# The only writes that AWS knows no resource for.
WITHOUT_RESOURCE = ("ecr:GetAuthorizationToken", "sts:GetCallerIdentity", "sts:TagSession")
TOO_MUCH = re.compile(r"/(AdministratorAccess|PowerUserAccess|\w*FullAccess)$")


def wildcards(kind: str, inputs: dict[str, Any]) -> list[str]:
    """Rights in IAM that name everything."""
    if not kind.startswith("aws:iam/"):
        return []
    faults = []
    for statement in allowed(inputs.get("policy")):
        actions = listed(statement.get("Action"))
        faults += [f"policy: Action {one}" for one in actions if one == "*" or one.endswith(":*")]
        faults += [f"policy: {key}" for key in ("NotAction", "NotResource") if key in statement]
        writes = [one for one in actions if not READING.match(one) and one not in WITHOUT_RESOURCE]
        if "*" in listed(statement.get("Resource")) and writes and not statement.get("Condition"):
            faults.append(f"policy: {', '.join(writes)} on Resource *")
    faults += [
        "assumeRolePolicy: anybody may assume the role"
        for statement in allowed(inputs.get("assumeRolePolicy"))
        if anybody(statement)
    ]
    managed = [inputs.get("policyArn"), *items(inputs.get("managedPolicyArns"))]
    return faults + [str(one) for one in managed if isinstance(one, str) and TOO_MUCH.search(one)]


def allowed(document: Any) -> Iterator[Statement]:
    """Statements of a policy document that allow. A text that is not known yet has none."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return  # no document at all: AWS takes none of it
    for statement in listed(at(document, "Statement")):
        if isinstance(statement, dict) and statement.get("Effect") == "Allow":
            yield statement


def listed(value: Any) -> list[Any]:
    """IAM writes one thing alone or in a list."""
    return value if isinstance(value, list) else [] if value in (None, UNKNOWN) else [value]


def anybody(statement: Statement) -> bool:
    """Whether a statement is for whoever comes."""
    principal = statement.get("Principal")
    return principal == "*" or "*" in listed(at(principal, "AWS"))
