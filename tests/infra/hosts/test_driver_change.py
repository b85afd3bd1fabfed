"""The order of a change of drivers, and what is refused before a host is touched."""

import json
from typing import Any

import pytest

from infra import places
from infra.hosts import driver_change, rolling
from infra.hosts.driver_change import Seen
from infra.refusal import Refusal

OLD, NEW = "535.261.03", "580.159.03"
GPUS = {"nvidia.com/gpu": "8"}


def _node(
    name: str, *, ready: str = "True", marks: dict[str, str] | None = None, gpus: bool = True
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": marks or {}},
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
            "conditions": [{"type": "Ready", "status": ready}],
            "capacity": GPUS if gpus else {},
        },
    }


def _seen(running: str = OLD, installed: str = OLD, wanted: str = NEW) -> Seen:
    return Seen(wanted=wanted, running=running, installed=installed, gpus=8)


def _plan(*nodes: dict[str, Any], **hosts: Seen) -> list[driver_change.Step]:
    named = {name.replace("_", "-"): seen for name, seen in hosts.items()}
    return driver_change.plan(json.dumps({"items": list(nodes)}), named)


def test_hosts_change_in_the_order_of_the_inventory() -> None:
    steps = _plan(_node("gpu-1"), _node("gpu-2"), _node("cpu-1"), gpu_2=_seen(), gpu_1=_seen())

    assert [(step.node, step.state) for step in steps] == [("gpu-2", "to do"), ("gpu-1", "to do")]


def test_a_host_that_an_earlier_run_began_with_comes_first_however_ill_it_is() -> None:
    begun = _node("gpu-2", ready="Unknown", marks={rolling.CHANGING_DRIVER: "open"})

    steps = _plan(_node("gpu-1"), begun, gpu_1=_seen(), gpu_2=_seen(running=""))

    assert [(step.node, step.state) for step in steps] == [("gpu-2", "begun"), ("gpu-1", "to do")]


def test_a_host_is_done_when_the_driver_runs_and_is_installed() -> None:
    nodes = [_node(f"gpu-{number}") for number in (1, 2, 3, 4)]

    steps = _plan(
        *nodes,
        gpu_1=_seen(running=NEW, installed=NEW),
        gpu_2=_seen(installed=NEW),  # it waits for a restart
        gpu_3=_seen(running=NEW),  # somebody put another package there
        gpu_4=_seen(running="", installed=""),
    )

    assert [step.state for step in steps] == ["done", "to do", "to do", "to do"]


def test_a_host_with_the_driver_is_not_done_while_its_mark_is_there() -> None:
    begun = _node("gpu-1", marks={rolling.CHANGING_DRIVER: "cordoned"})

    assert _plan(begun, gpu_1=_seen(running=NEW, installed=NEW))[0].state == "begun"


def test_an_upgrade_of_kubernetes_that_was_begun_is_another_change() -> None:
    node = _node("gpu-1", marks={rolling.UPGRADING: "open"})

    assert _plan(node, gpu_1=_seen())[0].state == "to do"


def test_a_node_has_to_offer_its_gpus_again_where_a_device_plugin_told_of_some() -> None:
    steps = _plan(_node("gpu-1"), _node("gpu-2", gpus=False), gpu_1=_seen(), gpu_2=_seen())

    assert [step.gpus for step in steps] == [8, 0]


def test_a_person_reads_the_drivers_and_the_order() -> None:
    steps = _plan(
        _node("gpu-1"),
        _node("gpu-2"),
        gpu_1=_seen(NEW, NEW),
        gpu_2=_seen(running="", installed=NEW),
    )

    lines = [" ".join(line.split()) for line in driver_change.table(steps)]

    assert lines == [
        f"1 gpu-1 driver {NEW} done",
        f"2 gpu-2 driver none, {NEW} installed -> {NEW} to do",
    ]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([_node("gpu-1", ready="False")], "Repair it"),
        ([_node("gpu-9")], "hosts.yml, which gives a host its driver"),
    ],
    ids=["ill", "no node"],
)
def test_what_cannot_be_changed_so_is_refused(nodes: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        _plan(*nodes, gpu_1=_seen())

    assert said in refused.value.remedy


@pytest.mark.parametrize("mark", [rolling.UPGRADING, rolling.CHANGING_DRIVER])
def test_playbooks_take_a_marks_name_from_the_plan(mark: str) -> None:
    playbooks = places.REPOSITORY / "ansible" / "playbooks"

    assert [path for path in playbooks.rglob("*.yml") if mark in path.read_text()] == []
