"""The rules for workloads over the inputs of resources, as a preview has them."""

import copy
from typing import Any

import pytest

from infra.policy import workload_rules, workloads
from infra.policy.inputs import UNKNOWN
from tests.infra.policy.cases import ALLOWED, GOOD, REFUSED, Case, main


def broken(pod: dict[str, Any]) -> set[str]:
    """Names of the rules that a pod breaks."""
    return {rule.name for rule in workload_rules.RULES if rule.faults(pod)}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_pod_that_breaks_a_rule_is_refused_by_that_rule_alone(case: Case) -> None:
    assert broken(case.pod()) == {case.rule}


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_a_pod_that_keeps_all_rules_is_allowed(case: Case) -> None:
    assert broken(case.pod()) == set()


def test_every_rule_has_a_case_that_it_refuses_and_one_that_it_allows() -> None:
    names = {rule.name for rule in workload_rules.RULES}

    assert {case.rule for case in REFUSED} == names
    assert {case.rule for case in ALLOWED} == names


def test_a_fault_names_its_container_and_what_is_wrong() -> None:
    pod = copy.deepcopy(GOOD)
    main(pod)["image"] = "app:latest"

    assert workloads.images(pod) == ["main: image app:latest"]


def test_a_pod_is_found_in_whatever_makes_pods() -> None:
    template = {"template": {"spec": GOOD}}

    assert workloads.pod({"kind": "Pod", "spec": GOOD}) == GOOD
    assert workloads.pod({"kind": "Rollout", "spec": template}) == GOOD
    assert workloads.pod({"kind": "CronJob", "spec": {"jobTemplate": {"spec": template}}}) == GOOD
    assert workloads.pod({"kind": "Service", "spec": {"ports": []}}) is None
    assert workloads.pod({"kind": "Secret", "spec": UNKNOWN}) is None


def test_what_a_preview_cannot_know_yet_is_no_fault() -> None:
    pod = copy.deepcopy(GOOD)
    pod["nodeSelector"] = UNKNOWN
    main(pod).update(
        image=UNKNOWN, resources=UNKNOWN, readinessProbe=UNKNOWN, securityContext=UNKNOWN
    )
    pod["securityContext"] = UNKNOWN

    assert broken(pod) == set()
