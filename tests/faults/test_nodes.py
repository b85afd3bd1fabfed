"""Nodes that die: by themselves, by `docker kill`, under the load of a worker's models."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from infra.environment import Environment
from tests.faults.load import Load
from tests.faults.victims import Machine, pods, ready
from tests.system.house import NAME, House, Kubernetes, told, until

pytestmark = pytest.mark.faults

WORKER = "cpu-1"
"""Where the gateway, the registry and the models run."""


def node_ready(kubernetes: Kubernetes, node: str) -> bool:
    conditions = kubernetes.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def serves(house: House, body: dict[str, Any]) -> bool:
    """Whether one prediction comes, on a connection of its own."""
    with Load(house, body, rate=1, callers=1) as load:
        until("it was asked", lambda: bool(load.outcomes), seconds=60)
    return not load.failed


@pytest.fixture
def body(example: dict[str, Any]) -> dict[str, Any]:
    return {"images": example["images"][:1]}


def test_a_worker_whose_first_process_dies_comes_back_and_serves_again_by_itself(
    house: House, kubernetes: Kubernetes, machine: Machine, body: dict[str, Any]
) -> None:
    first = machine.first_process(WORKER)
    with Load(house, body, rate=10) as load:
        until("predictions come", lambda: load.good() >= 20)
        struck = load.now
        os.kill(first, signal.SIGKILL)
        until(
            "its first process is another", lambda: machine.first_process(WORKER) not in (0, first)
        )
        until(
            "fifty predictions in a row come again",
            lambda: load.good(since=struck + 5) >= 50 and not recent_failures(load),
            seconds=300,
        )
    print(f"worker: {load.summary(struck)}")

    until("the node is ready", lambda: node_ready(kubernetes, WORKER), seconds=180)
    until("its units run", machine.healthy, seconds=180)


def recent_failures(load: Load) -> bool:
    return any(one.fault for one in list(load.outcomes)[-50:])


def test_the_control_plane_whose_first_process_dies_comes_back_by_itself(
    house: House, machine: Machine, body: dict[str, Any]
) -> None:
    first = machine.first_process("control-1")
    os.kill(first, signal.SIGKILL)

    until(
        "its first process is another", lambda: machine.first_process("control-1") not in (0, first)
    )
    until("its units run", machine.healthy, seconds=240)
    until("predictions come", lambda: serves(house, body), seconds=240, every=2)
    assert house.yard("status", NAME).returncode == 0


def test_a_node_that_was_killed_by_hand_stays_down_until_the_next_up(
    house: House, kubernetes: Kubernetes, machine: Machine, body: dict[str, Any]
) -> None:
    machine.kill(WORKER)
    assert machine.first_process(WORKER) == 0

    result = house.yard("up", NAME)

    assert result.returncode == 0, told(result)
    assert "; hosts" in result.stdout
    assert machine.first_process(WORKER) != 0
    assert node_ready(kubernetes, WORKER)
    assert serves(house, body)
    until(
        "every pod on it takes requests again",
        lambda: all(
            ready(pod) for space in ("gateway", "models") for pod in pods(kubernetes, space, "")
        ),
        seconds=240,
    )


@pytest.fixture
def taken(env: Environment, machine: Machine) -> Iterator[int]:
    """The gateway's port, which somebody took while the container that publishes it was down."""
    machine.kill("control-1")
    with socket.socket() as robber:
        robber.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        robber.bind(("127.0.0.1", env.published.gateway))
        robber.listen()
        yield env.published.gateway


def test_a_port_that_somebody_took_is_refused_with_its_key_and_his_name(
    house: House, taken: int
) -> None:
    result: subprocess.CompletedProcess[str] = house.yard("up", NAME)
    said = " ".join((result.stdout + result.stderr).split())

    assert result.returncode == 2, told(result)
    assert f"Pulumi.{NAME}.yaml: ports.gateway" in said
    assert f"value: {taken}" in said
    assert f"(process {os.getpid()}) listens on it" in said


def test_when_the_port_is_free_again_up_completes(house: House, body: dict[str, Any]) -> None:
    result = house.yard("up", NAME)

    assert result.returncode == 0, told(result)
    assert serves(house, body)
