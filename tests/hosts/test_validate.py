"""validate.yml on real nodes: well when all is well, and one stopped unit is named."""

from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from ci.pipeline import playbook
from ci.report import silent
from infra.environment import Environment

pytestmark = pytest.mark.hosts
NODES = ("control-1", "cpu-1", "gpu-1")


def _document(env: Environment) -> dict[str, Any]:
    outcome = playbook.run(env, "validate", silent)
    assert outcome.changes == []
    assert outcome.document is not None
    return outcome.document


def _faults(document: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Faults but for the disk, whose fill level may be somebody else's doing."""
    return [
        (one["host"], one["check"], one["state"], one["value"])
        for one in document["findings"]
        if one["state"] != "well" and not one["check"].startswith("disk ")
    ]


def test_a_healthy_environment_is_well_seen_from_every_node(env: Environment) -> None:
    document = _document(env)

    assert _faults(document) == []
    asked = {(one["host"], one["check"]) for one in document["findings"]}
    for node in NODES:
        for check in ("dns", "service", "registry", "runtime", "node", "versions"):
            assert (node, check) in asked
    # Workers have pods, and ask from inside one.
    value = {(one["host"], one["check"]): one["value"] for one in document["findings"]}
    assert value["cpu-1", "dns"] == "answers, asked from a pod"
    assert any(check.startswith("pod on ") for host, check in asked if host == "cpu-1")


def test_a_stopped_unit_is_named_with_its_host(
    env: Environment, reach: Callable[[str], Host]
) -> None:
    gpu = reach("gpu-1")
    assert gpu.run("systemctl stop kubelet.service").rc == 0
    try:
        document = _document(env)
    finally:
        assert gpu.run("systemctl start kubelet.service").rc == 0

    assert document["state"] == "broken"
    named = [fault[:3] for fault in _faults(document)]
    assert ("gpu-1", "unit kubelet.service", "broken") in named
    assert {host for host, _, _ in named} == {"gpu-1"}
