"""A rehearsal names what a run then changes: of a cluster that is made, is done, and is taken off.

On the environment `drill`, whose containers are made and left as they are.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.pipeline import credentials, hosts, playbook
from ci.pipeline.steps import Steps
from ci.report import silent
from ci.yard.progress import Progress
from infra import environment, places
from infra.environment import Environment
from tests.hosts import machines, outcomes
from tests.system import house

pytestmark = pytest.mark.scenarios
NAME = "drill"
UNITS = ("kubelet.service", "containerd.service")
YARD = Path(sys.executable).parent / "yard"


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    """The environment's machines, on which only containers.yml ran."""
    found = environment.load(NAME)
    house.run(YARD, "down", NAME, "--take")
    try:
        steps = Steps(Progress(sys.stderr), places.state(NAME) / "timings.json")
        archives = hosts.prepare(found, steps)
        credentials.ensure(found)
        hosts.tell(found, archives, silent)
        playbook.run(found, "containers", silent)
        yield found
    finally:
        house.run(YARD, "down", NAME)


def _files(env: Environment) -> dict[str, set[str]]:
    return {node.name: machines.files(machines.host(env, node.name)) for node in env.nodes()}


def _rehearse(env: Environment) -> set[str]:
    """What a rehearsal names; AssertionError when it changed a file of a machine or of ours."""
    before = _files(env)
    named = playbook.run(env, "hosts", silent, "--check", "--diff").changes
    assert _files(env) == before
    return set(named)


def test_a_rehearsal_on_bare_machines_names_exactly_what_the_run_then_changes(
    env: Environment,
) -> None:
    named = _rehearse(env)
    assert not (places.state(NAME) / "kubeconfig").exists()

    changed = set(playbook.run(env, "hosts", silent, "--diff").changes)

    assert "control-1: control_plane : initialise | Start the control plane" in changed
    assert named - changed == set()
    assert changed - named == set()


def _began(env: Environment) -> dict[str, dict[str, str]]:
    return {
        node.name: outcomes.began(machines.host(env, node.name), *UNITS) for node in env.nodes()
    }


def test_on_machines_that_are_done_nothing_is_named_and_nothing_restarted(
    env: Environment,
) -> None:
    began = _began(env)
    assert playbook.run(env, "hosts", silent, "--check", "--diff").changes == []
    assert playbook.run(env, "hosts", silent).changes == []
    assert _began(env) == began


def test_a_kubelet_that_has_not_read_its_configuration_is_restarted_alone(
    env: Environment,
) -> None:
    began = _began(env)
    node = env.nodes()[-1].name
    outcomes.write_anew(machines.host(env, node), "/etc/kubernetes/kubelet.yaml")

    assert playbook.run(env, "hosts", silent, "--tags", "kubernetes").changes == []

    now = _began(env)
    assert now[node].pop(UNITS[0]) != began[node].pop(UNITS[0])
    assert now == began


def _reset(env: Environment, *arguments: str) -> list[str]:
    return machines.changes(env, "reset", *arguments, reset_environment=env.name)


def test_a_rehearsal_of_a_reset_names_exactly_what_it_then_takes_off(env: Environment) -> None:
    named = _reset(env, "--check", "--diff")
    assert {one.split(":")[0] for one in named} == {node.name for node in env.nodes()}
    assert playbook.run(env, "hosts", silent, "--check").changes == []

    assert _reset(env) == named

    assert not (places.state(NAME) / "kubeconfig").exists()
    assert _reset(env, "--check") == []
