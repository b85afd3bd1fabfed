"""The container engine dies, leaving all it can; the machine is started again."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ci import procfs
from ci.pipeline import engine
from infra import places
from tests.faults.terminal import Watched
from tests.faults.test_nodes import serves
from tests.faults.victims import Machine, pods, ready
from tests.system.house import NAME, House, Kubernetes, until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module", autouse=True)
def ours(machine: Machine) -> None:
    """Only an engine that `yard` started, and that nobody else uses, may be struck."""
    record = engine.RECORD
    if not record.is_file() or strangers(machine):
        pytest.skip(f"the engine is not only ours: {strangers(machine) or 'we did not start it'}")


def strangers(machine: Machine) -> list[str]:
    return machine.strangers() if engine.answers() else []


def daemon() -> int:
    return int(json.loads(engine.RECORD.read_text())["pid"])


@pytest.fixture
def body(example: dict[str, Any]) -> dict[str, Any]:
    return {"images": example["images"][:1]}


@pytest.fixture
def somebody() -> Iterator[int]:
    """A process whose number a stale pid file may name."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def test_an_engine_that_died_is_replaced_whatever_it_left_behind(
    house: House, machine: Machine, somebody: int, body: dict[str, Any]
) -> None:
    nodes = [machine.first_process(node.name) for node in house.environment.nodes()]
    died = daemon()
    os.kill(died, signal.SIGKILL)
    until("it is gone", lambda: not procfs.lives(died))
    assert engine.answers() is None
    # The worst of what it leaves: half-dead containers, and its number with another program.
    assert all(procfs.lives(process) for process in nodes)
    for path in engine.PID_FILES:
        path.write_text(str(somebody))

    with Watched("up", NAME) as up:
        assert up.finish() == 0, up.tail()

    assert engine.answers()
    assert daemon() != died
    assert machine.healthy()
    assert serves(house, body)


def test_without_an_engine_a_command_that_needs_the_cluster_says_what_to_do(
    house: House,
) -> None:
    stopped = daemon()
    stop(stopped)

    result = house.yard("status", NAME)

    assert result.returncode == 1
    assert f"Run `yard up {NAME}`" in result.stderr
    assert "Traceback" not in result.stderr


def test_after_the_machine_was_started_again_up_brings_all_back(
    house: House, machine: Machine, kubernetes: Kubernetes, body: dict[str, Any]
) -> None:
    """As a restart leaves it: no engine, no container's process, nothing in /run."""
    if procfs.lives(daemon()):
        stop(daemon())
    engine.RECORD.unlink()
    for path in engine.PID_FILES:
        path.unlink(missing_ok=True)
    assert engine.answers() is None
    before = (places.state(NAME) / "credentials" / "token").read_text()

    began = time.monotonic()
    with Watched("up", NAME, "--timings") as up:
        assert up.finish() == 0, up.tail()
    print(f"restart: up after {time.monotonic() - began:.0f} s")

    assert machine.healthy()
    assert (places.state(NAME) / "credentials" / "token").read_text() == before
    assert serves(house, body)
    until(
        "every pod takes requests again",
        lambda: all(
            ready(pod)
            for space in ("gateway", "models", "registry", "monitoring", "delivery", "storage")
            for pod in pods(kubernetes, space, "")
            if pod["status"]["phase"] == "Running"
        ),
        seconds=300,
    )


def stop(process: int) -> None:
    """End the engine in good order; its containers end with it."""
    os.kill(process, signal.SIGTERM)
    until("the engine is gone", lambda: not procfs.lives(process), seconds=120)
