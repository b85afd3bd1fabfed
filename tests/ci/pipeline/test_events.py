import sys
from pathlib import Path
from typing import Any

import pytest

from ci.pipeline import events
from ci.pipeline.events import PolicyError, Run, Violation

URN = "urn:pulumi:test::modelyard::kubernetes:apps/v1:Deployment::"


def event(kind: str, name: str, op: str = "create") -> dict[str, Any]:
    return {kind: {"metadata": {"urn": URN + name, "op": op}}}


def test_while_one_resource_waits_the_progress_names_it_and_not_the_last_that_ended() -> None:
    said: list[str] = []
    run = Run(total=3, report=lambda text, done, total: said.append(f"{text} {done}/{total}"))

    stack = "urn:pulumi:test::modelyard::pulumi:pulumi:Stack::modelyard-test"
    for happened in (
        {"resourcePreEvent": {"metadata": {"urn": stack, "op": "create"}}},
        event("resourcePreEvent", "slow"),
        event("resourcePreEvent", "quick"),
        event("resOutputsEvent", "quick"),
    ):
        run.take(happened)

    assert said[-1] == "create Deployment slow 1/3"


def test_when_nothing_waits_the_progress_names_what_ended_last() -> None:
    said: list[str] = []
    run = Run(total=0, report=lambda text, done, total: said.append(text))

    run.take(event("resourcePreEvent", "quick"))
    run.take(event("resOutputsEvent", "quick"))

    assert said[-1] == "create Deployment quick"


def test_parts_of_a_replacement_are_counted_once() -> None:
    run = Run(total=0, report=lambda *_: None)

    for op in ("create-replacement", "replace", "delete-replaced"):
        run.take(event("resourcePreEvent", "one", op))

    assert [step.op for step in run.changes.steps] == ["replace"]


def judged(level: str) -> dict[str, Any]:
    return {
        "policyEvent": {
            "resourceUrn": URN + "bad",
            "policyName": "probed",
            "message": "Probes!\nmain: no livenessProbe\n",
            "enforcementLevel": level,
        }
    }


def test_what_a_policy_refuses_is_an_error_that_names_resource_and_policy() -> None:
    run = Run(total=0, report=lambda *_: None)
    run.take(judged("mandatory"))

    assert run.changes.violations == [
        Violation(URN + "bad", "probed", "Probes!\nmain: no livenessProbe")
    ]
    assert run.errors == ["Deployment bad: policy probed: Probes!\nmain: no livenessProbe"]


def test_what_a_policy_only_advises_is_a_warning() -> None:
    run = Run(total=0, report=lambda *_: None)
    run.take(judged("advisory"))

    assert run.changes.violations == []
    assert run.errors == []
    assert len(run.changes.warnings) == 1


def test_a_run_that_a_policy_refused_keeps_what_it_had_found(tmp_path: Path) -> None:
    run = Run(total=0, report=lambda *_: None)
    run.take(event("resourcePreEvent", "good"))
    run.take(judged("mandatory"))
    failing = [sys.executable, "-c", "raise SystemExit(1)"]

    with pytest.raises(PolicyError, match="policy probed") as refused:
        events.run(failing, tmp_path, {}, run, tmp_path / "log")
    assert [step.name for step in refused.value.changes.steps] == ["Deployment good"]


def test_what_stays_the_same_is_kept_by_name() -> None:
    run = Run(total=0, report=lambda *_: None)
    run.take(event("resourcePreEvent", "kept", "same"))

    assert run.changes.unchanged == [URN + "kept"]
    assert run.changes.steps == []
