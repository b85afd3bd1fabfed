"""Exemptions: closed, with a reason and an end, for one rule and one component each."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import ResourceValidationArgs, ResourceValidationPolicy
from pulumi_policy.policy import PolicyCustomTimeouts, PolicyResourceOptions

from infra.policy import account_rules, exemptions, pack, workload_rules
from infra.policy.exemptions import Exemption, Place
from infra.refusal import Refusal
from tests.infra.policy.cases import REFUSED, Case

END = datetime.date(2030, 1, 31)
SPARED = Exemption(
    rule="confined",
    where=Place(namespace="storage", name="helper"),
    reason="it makes folders of nodes, which are root's",
    until=END,
)
CASE = next(case for case in REFUSED if case.rule == "confined")


def said(
    case: Case,
    *,
    today: datetime.date = END,
    namespace: Any = "storage",
    name: str = "helper",
    kind: str = "kubernetes:core/v1:Pod",
) -> dict[str, str]:
    """What each policy of the pack says of a resource."""
    found: dict[str, str] = {}
    metadata = {"namespace": namespace, "labels": {"app.kubernetes.io/name": name}}
    options = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])
    props = {"kind": "Pod", "metadata": metadata, "spec": case.pod()}
    for policy in pack.policies([SPARED], today):
        if not isinstance(policy, ResourceValidationPolicy):
            continue
        urn = f"urn:pulumi:dev::modelyard::{kind}::name"
        args = ResourceValidationArgs(kind, props, urn, "name", options, None)

        def report(message: str, _urn: str | None = None, rule: str = policy.name) -> None:
            found[rule] = message

        policy.validate(args, report)
    return found


def test_an_exempted_component_breaks_its_rule_until_the_last_day() -> None:
    assert said(CASE) == {}


def test_the_day_after_it_is_refused_with_the_end_that_passed() -> None:
    message = said(CASE, today=END + datetime.timedelta(days=1))

    assert set(message) == {"confined"}
    assert "Its exemption ended on 2030-01-31." in message["confined"]


def test_an_exemption_spares_no_other_rule_component_or_namespace() -> None:
    other = next(case for case in REFUSED if case.rule == "probed")

    assert set(said(other)) == {"probed"}
    assert set(said(CASE, name="another")) == {"confined"}
    assert set(said(CASE, namespace="models")) == {"confined"}


def test_a_refusal_says_what_is_wrong_and_what_to_do() -> None:
    (message,) = said(CASE, name="another").values()

    assert message.splitlines()[0] == "main: privileged"
    assert message.splitlines()[-1].startswith("Fill securityContext")


def test_only_kubernetes_objects_are_looked_into_for_pods() -> None:
    found = said(CASE, name="another", kind="aws:batch/jobDefinition:JobDefinition")

    assert not set(found) & {rule.name for rule in workload_rules.RULES}


def test_every_exemption_of_the_repository_is_about_a_rule_that_exists() -> None:
    known = (*workload_rules.RULES, *account_rules.RULES, *account_rules.COMPANIONS)

    assert {one.rule for one in exemptions.load()} <= {rule.name for rule in known}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("reason: short", "reason"),
        ("reason: ''", "reason"),
        ("until: someday", "until"),
        ("until: null", "until"),
        ("because: it is so", "because"),
    ],
)
def test_an_exemption_without_reason_or_end_is_refused(
    tmp_path: Path, change: str, says: str
) -> None:
    key = change.split(":")[0]
    fields = {
        "rule": "rule: probed",
        "where": "where: { namespace: a, name: b }",
        "reason": "reason: a reason that somebody can weigh",
        "until": "until: 2030-01-01",
        key: change,
    }
    path = tmp_path / "exemptions.yaml"
    path.write_text("- " + "\n  ".join(fields.values()) + "\n")

    with pytest.raises(Refusal, match=says):
        exemptions.load(path)
