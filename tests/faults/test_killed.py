"""`yard up` from nothing, killed in every long step: the next one goes on, and trusts no half."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ci.pipeline import hosts, node_probe, survivors
from ci.toolchain import provide, store
from infra.environment import Environment
from infra.models import release
from tests.faults.terminal import Watched
from tests.faults.victims import Machine
from tests.system.house import NAME, House, run, told, until

pytestmark = pytest.mark.faults

FAMILY = "etcd"
"""The tool that is built again: the one that takes least."""


def inside(env: Environment, node: str, *command: str) -> subprocess.CompletedProcess[str]:
    return run("docker", "exec", node_probe.container_name(env, node), *command)


def has(env: Environment, node: str, path: str) -> bool:
    return inside(env, node, "test", "-e", path).returncode == 0


def at_work(env: Environment, node: str, program: str) -> Callable[[], bool]:
    """Whether a program of this name runs on a node."""
    return lambda: inside(env, node, "pgrep", "--exact", program).returncode == 0


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When to kill: what `yard` says of its progress then, and what else must be so."""

    says: str
    also: Callable[[Environment], bool] = lambda _: True
    finished: Callable[[Environment], bool]
    """What would have to be true if the step counted as finished; it must not be."""


def kubeadm_runs(node: str) -> Callable[[Environment], bool]:
    return lambda env: at_work(env, node, "kubeadm")()


def marked(node: str, mark: str) -> Callable[[Environment], bool]:
    return lambda env: has(env, node, f"/etc/kubernetes/{mark}")


def released(env: Environment) -> bool:
    return release.read(env, "digits") is not None


def built(_: Environment) -> bool:
    return provide.find(FAMILY) is not None


MOMENTS = {
    "the build of a tool": Moment(says=rf"{FAMILY}: compiling", finished=built),
    "the making of nodes": Moment(
        says=r"node_container : container \| Run the node", finished=hosts.agrees
    ),
    "the import of images": Moment(
        says=r"images \| Import the images and keep them", finished=hosts.agrees
    ),
    "kubeadm init": Moment(
        says=r"initialise \| Start the control plane",
        also=kubeadm_runs("control-1"),
        finished=marked("control-1", "modelyard-initialised"),
    ),
    "kubeadm join": Moment(
        says=r"worker : join \| Join \d",
        also=kubeadm_runs("gpu-1"),
        finished=marked("gpu-1", "modelyard-joined"),
    ),
    "Pulumi's up of the platform": Moment(says=r"platform: .*create Deployment", finished=released),
    "the push of the image": Moment(says=r"push digits: pushing", finished=released),
    "Pulumi's up of the models": Moment(says=r"release digits: create", finished=lambda _: False),
}


@pytest.fixture(scope="module")
def from_nothing(env: Environment) -> Iterator[None]:
    """No environment, and one tool that is not built."""
    with Watched("down", NAME) as down:
        assert down.finish() == 0, down.tail()
    entry = provide.find(FAMILY)
    aside = None
    if entry:
        aside = entry.path.with_name(f".aside-{entry.path.name}")
        entry.path.rename(aside)
    yield
    if entry and aside:
        if not entry.path.exists():
            aside.rename(entry.path)
        else:
            subprocess.run(["rm", "-r", aside], check=True)


@pytest.mark.parametrize("name", MOMENTS)
def test_a_killed_up_leaves_nothing_that_counts_as_finished(
    env: Environment, from_nothing: None, name: str
) -> None:
    moment = MOMENTS[name]
    with Watched("up", NAME) as up:
        said = up.until_says(moment.says, seconds=1200)
        end = time.monotonic() + 60
        while not moment.also(env) and time.monotonic() < end:
            time.sleep(0.05)
        assert up.process.poll() is None, up.tail()
        up.kill()

    assert said
    assert not moment.finished(env), f"killed in {name}, and yet it counts as finished"


def test_the_next_up_completes_what_eight_were_killed_in(
    env: Environment, from_nothing: None
) -> None:
    with Watched("up", NAME) as up:
        assert up.finish() == 0, up.tail()

    assert f"{NAME} is up" in up.said
    assert "digits 1.0.0 answered" in up.said
    assert hosts.agrees(env)


def test_nothing_that_the_killed_ones_began_still_runs(env: Environment) -> None:
    assert survivors.find(NAME) == []
    assert list(store.root().glob(f".partial-{FAMILY}-*")) == []


@pytest.mark.parametrize("node", ["control-1", "cpu-1", "gpu-1"])
def test_every_image_on_a_node_is_whole(env: Environment, node: str) -> None:
    checked = inside(env, node, "/usr/local/bin/ctr", "--namespace", "k8s.io", "images", "check")

    assert checked.returncode == 0, told(checked)
    rows = checked.stdout.splitlines()[1:]
    assert rows
    assert [row for row in rows if " complete " not in row] == []


def test_the_state_and_the_cluster_agree_in_the_end(house: House) -> None:
    changes = json.loads(house.done("preview", NAME, "--json"))["changes"]

    assert changes.pop("same") > 0
    assert set(changes.values()) == {0}


def test_a_further_up_changes_nothing(house: House) -> None:
    assert "nothing changed" in house.done("up", NAME)


def test_a_ship_that_was_killed_while_it_rolled_out_is_completed_by_up(
    env: Environment, machine: Machine, house: House
) -> None:
    before = house.versions("digits")
    with Watched("ship", "digits", "--to", NAME, "--version", "1.0.1") as ship:
        ship.until_says(r"release digits: digits: \w")
        assert machine.healthy()
        ship.kill()
    assert [one["version"] for one in before] == ["1.0.0"]

    with Watched("up", NAME) as up:
        assert up.finish() == 0, up.tail()

    assert "digits 1.0.1 answered" in up.said
    until(
        "only the new version serves",
        lambda: [one["version"] for one in house.versions("digits")] == ["1.0.1"],
    )
