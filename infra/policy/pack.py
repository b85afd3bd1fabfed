"""The rules as policies of pulumi-policy: what the engine asks for every resource."""

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.policy import account_rules, exemptions, workload_rules, workloads
from infra.policy.account_rules import AccountRule, Asked, Companion
from infra.policy.exemptions import Exemption
from infra.policy.inputs import UNKNOWN, at
from infra.policy.workload_rules import WorkloadRule

NAME = "modelyard"
# They make no pods, and are too large to unpack for each rule.
DEFINITION = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
# Projects that import nothing of AWS (tests/test_imports.py). pulumi-policy unpacks every resource
# anew for each policy, and the whole stack for each of those that compare resources: with 300
# models that took four seconds, to find no bucket.
KUBERNETES_ALONE = frozenset({"modelyard", "modelyard-models"})


def policies(
    spared: Sequence[Exemption], today: datetime.date, project: str | None = None
) -> list[Policy]:
    """All policies for a project. Each is mandatory: the engine fails where one is broken."""
    found: list[Policy] = [_for_workloads(rule, spared, today) for rule in workload_rules.RULES]
    if project not in KUBERNETES_ALONE:
        found += [_for_accounts(rule, spared, today) for rule in account_rules.RULES]
        found += [_for_companions(rule, spared, today) for rule in account_rules.COMPANIONS]
    return found


def here(project: str | None) -> list[Policy]:
    """All policies for a project with the repository's exemptions, as of today."""
    return policies(exemptions.load(), datetime.datetime.now(tz=datetime.UTC).date(), project)


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


class _Judge:
    """Tells the faults that one rule finds, unless an exemption spares the resource."""

    def __init__(
        self, rule: str, remedy: str, spared: Sequence[Exemption], today: datetime.date
    ) -> None:
        self._rule, self._remedy, self._today = rule, remedy, today
        self._spared = [one for one in spared if one.rule == rule]

    def words(self, faults: list[str], name: str, inputs: dict[str, Any]) -> str | None:
        covering = [one for one in self._spared if one.covers(self._rule, name, inputs)]
        if not faults or any(not one.over(self._today) for one in covering):
            return None
        ended = [f"Its exemption ended on {one.until}." for one in covering]
        return "\n".join([*faults, *ended, self._remedy])


def _for_workloads(
    rule: WorkloadRule, spared: Sequence[Exemption], today: datetime.date
) -> ResourceValidationPolicy:
    judge = _Judge(rule.name, rule.remedy, spared, today)

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        kind = args.resource_type
        if not kind.startswith("kubernetes:") or kind == DEFINITION:
            return
        inputs = plain(args.props)
        found = workloads.pod(inputs)
        if words := judge.words(rule.faults(found) if found else [], args.name, inputs):
            report(words, None)

    return _mandatory(rule, validate)


def _for_accounts(
    rule: AccountRule, spared: Sequence[Exemption], today: datetime.date
) -> ResourceValidationPolicy:
    judge = _Judge(rule.name, rule.remedy, spared, today)

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if not args.resource_type.startswith("aws:"):
            return
        inputs = plain(args.props)
        asked = Asked(
            kind=args.resource_type,
            inputs=inputs,
            default_tags=_default_tags(args),
            environment=args.urn.split(":")[2],
        )
        if words := judge.words(rule.faults(asked), args.name, inputs):
            report(words, None)

    return _mandatory(rule, validate)


def _mandatory(
    rule: WorkloadRule | AccountRule,
    validate: Callable[[ResourceValidationArgs, ReportViolation], None],
) -> ResourceValidationPolicy:
    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.says,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


def _default_tags(args: ResourceValidationArgs) -> Any:
    """Tags that the provider gives to all that it makes. Providers get objects as JSON."""
    given = plain(args.provider.props).get("defaultTags") if args.provider else None
    return at(json.loads(given) if isinstance(given, str) else given, "tags")


def _for_companions(
    rule: Companion, spared: Sequence[Exemption], today: datetime.date
) -> StackValidationPolicy:
    judge = _Judge(rule.name, rule.remedy, spared, today)

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        companions = [one for one in args.resources if one.resource_type == rule.needs]
        named = {
            found.urn
            for one in companions
            for found in (one.property_dependencies.get(rule.by, []) if rule.by else [])
        }
        for one in args.resources:
            if one.resource_type != rule.of or one.urn in named:
                continue
            if rule.by is None and companions:
                continue
            if words := judge.words([f"{one.name} has none"], one.name, {}):
                report(words, one.urn)

    return StackValidationPolicy(
        name=rule.name,
        description=rule.says,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )
