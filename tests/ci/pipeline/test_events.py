from typing import Any

from ci.pipeline.events import Run

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
