"""The rules for accounts, over single resources and over all that the foundation makes."""

import datetime
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pulumi_policy import PolicyResource, StackValidationArgs, StackValidationPolicy
from pulumi_policy.policy import PolicyCustomTimeouts, PolicyResourceOptions

from infra import environment, places
from infra.policy import account_rules, pack, workload_rules
from infra.policy.account_rules import Asked
from tests.infra.foundation.conftest import IN_ACCOUNTS, estates
from tests.infra.policy.account_cases import (
    ALLOWED,
    BUCKET,
    BUDGET,
    CLUSTER,
    REFUSED,
    AccountCase,
)

if TYPE_CHECKING:
    from tests.infra.foundation.conftest import Estate

__all__ = ["estates"]


def broken(asked: Asked) -> dict[str, list[str]]:
    """Faults by rule."""
    found = {rule.name: rule.faults(asked) for rule in account_rules.RULES}
    return {name: faults for name, faults in found.items() if faults}


def asked(case: AccountCase) -> Asked:
    return Asked(
        kind=case.kind,
        inputs=case.inputs,
        default_tags=case.default_tags,
        environment=case.environment,
    )


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_resource_that_breaks_a_rule_is_refused_by_that_rule_alone(case: AccountCase) -> None:
    assert list(broken(asked(case))) == [case.rule]


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_a_resource_that_keeps_all_rules_is_allowed(case: AccountCase) -> None:
    assert broken(asked(case)) == {}


def test_every_rule_has_a_case_that_it_refuses_and_one_that_it_allows() -> None:
    names = {rule.name for rule in account_rules.RULES}

    assert {case.rule for case in REFUSED} == names
    assert {case.rule for case in ALLOWED} == names


@pytest.mark.parametrize("name", IN_ACCOUNTS)
def test_nothing_in_the_foundation_breaks_a_rule(estates: dict[str, "Estate"], name: str) -> None:
    registered = estates[name].engine.registered
    (provider,) = [one for one in registered if one.type == "pulumi:providers:aws"]
    given = provider.inputs["defaultTags"]
    tags = (json.loads(given) if isinstance(given, str) else given)["tags"]
    resources = [one for one in registered if one.type.startswith("aws:")]
    faults = {
        one.name: found
        for one in resources
        if (
            found := broken(
                Asked(kind=one.type, inputs=one.inputs, default_tags=tags, environment=name)
            )
        )
    }

    assert len(resources) > 100
    assert faults == {}


def without_companion(*kinds: str) -> dict[str, str]:
    """What the rules for whole stacks say of a stack of these types; nothing names anything."""
    options = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])
    resources = [
        PolicyResource(kind, {}, f"urn::{kind}", "one", options, None, None, [], {})
        for kind in kinds
    ]
    found: dict[str, str] = {}
    for policy in pack.policies([], datetime.date(2030, 1, 1)):
        if isinstance(policy, StackValidationPolicy):

            def report(message: str, _urn: str | None = None, rule: str = policy.name) -> None:
                found[rule] = message

            policy.validate(StackValidationArgs(resources), report)
    return found


def test_an_account_with_a_cluster_and_no_budget_is_refused() -> None:
    assert set(without_companion(CLUSTER)) == {"budgeted"}
    assert without_companion(CLUSTER, BUDGET) == {}


def test_a_bucket_needs_a_block_and_a_key_that_are_its_own() -> None:
    companions = [rule.needs for rule in account_rules.COMPANIONS if rule.of == BUCKET]

    assert set(without_companion(BUCKET)) == {"buckets-closed", "buckets-encrypted"}
    # They are there, and of another bucket.
    assert set(without_companion(BUCKET, *companions)) == {"buckets-closed", "buckets-encrypted"}
    assert without_companion("aws:iam/role:Role") == {}


def test_every_environment_in_an_account_has_a_ceiling_that_its_budget_keeps() -> None:
    for name in IN_ACCOUNTS:
        aws = environment.load(name).aws
        ceiling = account_rules.ceiling(name)
        assert aws is not None
        assert ceiling is not None, name
        assert aws.budget.usd_a_month <= ceiling, name


def test_a_fault_names_what_is_wrong() -> None:
    found: dict[str, Any] = {case.says: broken(asked(case)) for case in REFUSED}

    assert found["a rule that lets in all"] == {"nothing-public": ["lets in 0.0.0.0/0"]}
    assert found["a whole service"] == {"least-rights": ["policy: Action s3:*"]}
    assert found["a budget over the ceiling"] == {
        "budget-ceiling": ["2001 USD a month; the ceiling is 2000"]
    }
    assert found["one tag too few"] == {
        "cost-tags": ["no tag modelyard:component", "no tag modelyard:managed-by"]
    }


def names(project: str | None) -> set[str]:
    return {policy.name for policy in pack.policies([], datetime.date(2030, 1, 1), project)}


def test_projects_that_know_nothing_of_aws_are_asked_about_workloads_alone() -> None:
    folders = (places.REPOSITORY, places.REPOSITORY / "infra/models")
    projects = {yaml.safe_load((one / "Pulumi.yaml").read_text())["name"] for one in folders}

    assert projects == pack.KUBERNETES_ALONE
    for project in projects:
        assert names(project) == {rule.name for rule in workload_rules.RULES}


@pytest.mark.parametrize("project", ["modelyard-foundation", "somebodys", None])
def test_every_other_project_is_asked_everything(project: str | None) -> None:
    rules = (*workload_rules.RULES, *account_rules.RULES, *account_rules.COMPANIONS)

    assert names(project) == {rule.name for rule in rules}
