"""A machine cut off from every network: with what it has it works, without it is told so.

Packets of one group of this machine and of the environment's nodes are refused by the kernel unless
they stay on this machine; the commands under test run in that group.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import places
from infra.environment import Environment
from tests.faults.terminal import YARD, Watched
from tests.faults.victims import Machine
from tests.system.house import NAME, House, run, told

pytestmark = pytest.mark.faults

GROUP = 64999
"""A group that nobody else is in."""
AS_GROUP = ("setpriv", "--groups", f"0,{GROUP}")
Cut = Callable[..., subprocess.CompletedProcess[str]]


def rules(env: Environment, bridge: str) -> list[tuple[str, ...]]:
    """Rules that cut off the group and the nodes: tool and arguments behind -I or -D."""
    ours = ("-m", "owner", "--gid-owner", str(GROUP), "--suppl-groups")
    own = env.network.hosts
    return [
        ("iptables", "OUTPUT", *ours, "!", "-o", "lo", "!", "-d", own, "-j", "REJECT"),
        ("ip6tables", "OUTPUT", *ours, "!", "-o", "lo", "-j", "REJECT"),
        # Pods have addresses of their own on the bridge of the nodes.
        ("iptables", "FORWARD", "-i", bridge, "!", "-o", bridge, "-j", "REJECT"),
    ]


@pytest.fixture(scope="module")
def cut_off(env: Environment, machine: Machine) -> Iterator[Cut]:
    """Runs a program that reaches this machine and its nodes, and nothing else."""
    made = []
    try:
        for tool, chain, *rule in rules(env, machine.bridge()):
            result = run(tool, "--wait", "-I", chain, *rule)
            assert result.returncode == 0, told(result)
            made.append((tool, chain, *rule))
        yield lambda *command, **more: run(*AS_GROUP, *command, **more)
    finally:
        for tool, chain, *rule in made:
            subprocess.run([tool, "--wait", "-D", chain, *rule], check=True)


def proxy() -> str:
    """Where Go asks for modules first: a site that an open network reaches."""
    return run("go", "env", "GOPROXY").stdout.strip().split(",")[0]


PROBE = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"


def test_the_cut_is_a_cut(env: Environment, machine: Machine, cut_off: Cut) -> None:
    python = places.REPOSITORY / ".venv/bin/python"
    outside = cut_off(python, "-c", PROBE, proxy())
    inside = cut_off(python, "-c", PROBE, f"https://127.0.0.1:{env.published.gateway}/")
    from_node = run(
        *("docker", "exec", f"modelyard-{env.name}-cpu-1", "python3", "-c", PROBE, proxy())
    )

    assert outside.returncode != 0
    assert "refused" in outside.stderr or "name resolution" in outside.stderr, told(outside)
    assert "CERTIFICATE_VERIFY_FAILED" in inside.stderr, "this machine itself is reached"
    assert from_node.returncode != 0


def test_up_with_a_warm_cache_changes_nothing_and_asks_nobody(house: House, cut_off: Cut) -> None:
    result = cut_off(YARD, "up", NAME)

    assert result.returncode == 0, told(result)
    assert "nothing changed" in result.stdout


def test_a_lost_node_is_made_anew_without_a_network(
    house: House, machine: Machine, cut_off: Cut
) -> None:
    name = f"modelyard-{NAME}-gpu-1"
    before = machine.node("gpu-1")["Id"]
    assert run("docker", "rm", "--force", name).returncode == 0
    for part in ("var", "kubernetes"):
        assert run("docker", "volume", "rm", f"{name}-{part}").returncode == 0

    result = cut_off(YARD, "up", NAME)

    assert result.returncode == 0, told(result)
    assert machine.node("gpu-1")["Id"] != before
    assert machine.healthy()


def test_a_model_is_shipped_without_a_network(house: House, cut_off: Cut) -> None:
    result = cut_off(YARD, "ship", "digits", "--to", NAME, "--version", "1.0.7")

    assert result.returncode == 0, told(result)
    assert [one["version"] for one in house.versions("digits")] == ["1.0.7"]


def test_up_with_a_cold_cache_is_refused_with_all_that_is_missing(
    house: House, cut_off: Cut, tmp_path: Path
) -> None:
    result = cut_off(YARD, "up", NAME, environment={"XDG_CACHE_HOME": str(tmp_path)})
    said = " ".join((result.stdout + result.stderr).split())

    assert result.returncode == 2, told(result)
    assert "key: network" in said
    for missing in ("pulumi", "kubernetes", "traefik", "image modelyard/registry", "training"):
        assert missing in said
    assert "remedy: Connect this machine" in said
    assert "Traceback" not in said


def test_a_machine_that_lacks_one_tool_is_told_which(
    house: House, cut_off: Cut, tmp_path: Path
) -> None:
    # All of the cache by links, but for one family.
    tools = tmp_path / "modelyard" / "tools"
    tools.mkdir(parents=True)
    for entry in (places.cache() / "tools").iterdir():
        if entry.is_dir() and not entry.name.startswith((".", "etcd-")):
            (tools / entry.name).symlink_to(entry)
    (tmp_path / "modelyard" / "training").symlink_to(places.cache() / "training")

    result = cut_off(YARD, "up", NAME, environment={"XDG_CACHE_HOME": str(tmp_path)})
    said = " ".join((result.stdout + result.stderr).split())

    assert result.returncode == 2, told(result)
    assert "are not in" in said
    assert "yet: etcd remedy:" in said, told(result)


def test_connected_again_the_environment_is_as_the_files_say(house: House) -> None:
    with Watched("up", NAME) as up:
        assert up.finish() == 0, up.tail()
    changes = json.loads(house.done("preview", NAME, "--json"))["changes"]

    assert changes.pop("same") > 0
    assert set(changes.values()) == {0}
    assert os.getgroups().count(GROUP) == 0
