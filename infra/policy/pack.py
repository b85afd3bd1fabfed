"""The rules as policies of pulumi-policy: what the engine asks for every resource."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.policy import exemptions, rules, workloads
from infra.policy.exemptions import Exemption
from infra.policy.inputs import UNKNOWN
from infra.policy.rules import WorkloadRule

NAME = "modelyard"
# They make no pods, and are too large to unpack for each rule.
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def policies(spared: Sequence[Exemption], today: datetime.date) -> list[Policy]:
    """All policies. Each is mandatory: the engine ends with an error where one is broken."""
    return [_for_workloads(rule, spared, today) for rule in rules.RULES]


def here() -> list[Policy]:
    """All policies with the repository's exemptions, as of today."""
    return policies(exemptions.load(), datetime.datetime.now(tz=datetime.UTC).date())


def plain(value: Any) -> Any:
    """Dicts and lists in place of pulumi-policy's views, which raise where a value is unknown."""
    if isinstance(value, Mapping):
        return {key: _taken(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_taken(value, index) for index in range(len(value))]
    return value


def _taken(values: Any, key: Any) -> Any:
    try:
        return plain(values[key])
    except UnknownValueError:
        return UNKNOWN


def _for_workloads(
    rule: WorkloadRule, spared: Sequence[Exemption], today: datetime.date
) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        kind = args.resource_type
        if not kind.startswith("kubernetes:") or kind == DEFINITION:
            return
        inputs = plain(args.props)
        found = workloads.pod(inputs)
        faults = rule.faults(found) if found else []
        covering = [one for one in spared if one.covers(rule.name, inputs)]
        if not faults or any(not one.over(today) for one in covering):
            return
        ended = [f"Its exemption ended on {one.until}." for one in covering]
        report("\n".join([*faults, *ended, rule.remedy]), None)

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.says,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )
