"""The order of an upgrade, and what is refused before a node is touched."""

import json
from typing import Any

import pytest

from infra.hosts import rolling, upgrade
from infra.refusal import Refusal

CONTROLS = ["control-1", "control-2", "control-3"]
WORKERS = ["cpu-1", "gpu-1"]
OLD, NEW = "1.35.4", "1.36.3"


def _node(name: str, kubelet: str, *, ready: str = "True", mark: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": {rolling.UPGRADING: mark} if mark else {}},
        "status": {
            "nodeInfo": {"kubeletVersion": f"v{kubelet}"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def _nodes(**changed: dict[str, Any]) -> str:
    nodes = {name: _node(name, OLD) for name in (*WORKERS, *CONTROLS)}
    return json.dumps({"items": list((nodes | changed).values())})


def _plan(listed: str, server: str = OLD, target: str = NEW) -> list[upgrade.Step]:
    return upgrade.plan(listed, server, target, CONTROLS, WORKERS)


def test_control_planes_come_before_workers_in_the_order_of_the_inventory() -> None:
    steps = _plan(_nodes())

    assert [step.node for step in steps] == [*CONTROLS, *WORKERS]
    assert [step.control for step in steps] == [True, True, True, False, False]
    assert {step.state for step in steps} == {"to do"}


def test_what_a_killed_run_did_is_done_and_what_it_began_is_begun() -> None:
    steps = _plan(
        _nodes(
            **{
                "control-1": _node("control-1", NEW),
                "control-2": _node("control-2", NEW, mark="open"),
                "cpu-1": _node("cpu-1", OLD, ready="Unknown", mark="cordoned"),
            }
        ),
        server=NEW,
    )

    assert [step.state for step in steps] == ["done", "begun", "to do", "begun", "to do"]


def test_a_person_reads_the_versions_and_the_order() -> None:
    steps = _plan(_nodes(**{"control-1": _node("control-1", NEW)}), server=NEW)

    lines = upgrade.table(steps, NEW)

    assert lines[0].split() == ["1", "control-1", "control", "plane", NEW, "done"]
    assert lines[4].split() == ["5", "gpu-1", "worker", OLD, "->", NEW, "to", "do"]


@pytest.mark.parametrize(
    ("listed", "server", "target", "said"),
    [
        (_nodes(), OLD, "1.37.0", 'Name kubernetes: "1.36" first.'),
        (_nodes(**{"gpu-1": _node("gpu-1", "1.34.2")}), OLD, NEW, "gpu-1 runs 1.34.2"),
        (_nodes(), OLD, "2.0.0", "one minor version at a time"),
        (_nodes(), NEW, OLD, "does not go back"),
        (_nodes(**{"cpu-1": _node("cpu-1", NEW)}), OLD, OLD, "cpu-1 runs 1.36.3"),
        (_nodes(**{"cpu-1": _node("cpu-1", OLD, ready="False")}), OLD, NEW, "Repair it"),
        (_nodes(**{"cpu-9": _node("cpu-9", OLD)}), OLD, NEW, "would stay behind"),
        (json.dumps({"items": [_node("cpu-1", OLD)]}), OLD, NEW, "no such node"),
    ],
    ids=["skip", "worker skips", "major", "back", "worker back", "ill", "not listed", "no node"],
)
def test_what_cannot_be_upgraded_so_is_refused(
    listed: str, server: str, target: str, said: str
) -> None:
    with pytest.raises(Refusal, match=said.replace("(", r"\(")) as refused:
        _plan(listed, server, target)

    assert refused.value.remedy


def test_a_patch_of_the_same_minor_version_is_no_skip() -> None:
    assert {step.state for step in _plan(_nodes(), target="1.35.9")} == {"to do"}
