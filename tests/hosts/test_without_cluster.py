"""Roles that need no cluster, on two bare machines: defaults on one, other inputs on the other.

What stands for an API server is simulated; containerd, haproxy, distribution and routes are real.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.hosts import onprem, outcomes, without_cluster
from tests.hosts.machines import fails, named, of, thrice, unchanged
from tests.hosts.without_cluster import ADDRESSES, BALANCER, CHECKS, READ, ROLES

pytestmark = pytest.mark.scenarios


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Two machines after a rehearsal and two runs.

    ``named`` holds what each of the three named, ``failed`` roles and machines whose check failed
    when nothing had run there.
    """

    folder: Path
    named: list[set[str]]
    failed: set[tuple[str, str]]

    def play(self, *arguments: str) -> tuple[int, str]:
        """Run the roles on both; exit code and all that they say."""
        done = onprem.play(self.folder, self.folder / "roles.yml", *arguments)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("roles")
    play = {"name": "Configure", "hosts": "containers", "gather_facts": False, "become": True}
    play["roles"] = [{"role": role} for role in ROLES]
    (folder / "roles.yml").write_text(yaml.safe_dump([play]))
    with onprem.machines(folder, without_cluster.inventory(), {"binaries": {}}):
        failed = {
            (role, name)
            for role in ROLES
            for name in ADDRESSES
            if fails(CHECKS[role], onprem.host(name), name)
        }
        found = Machines(folder=folder, named=[], failed=failed)
        without_cluster.answer(onprem.host("default"))
        found.named.extend(map(named, thrice(found.play)))
        for name in ADDRESSES:
            without_cluster.fill(name)
        yield found


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("role", CHECKS)
def test_a_machine_is_as_its_role_promises(machines: Machines, role: str, name: str) -> None:
    CHECKS[role](onprem.host(name), name)


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("role", ROLES)
def test_the_check_of_a_role_failed_before_it_ran(machines: Machines, role: str, name: str) -> None:
    assert (role, name) in machines.failed


def test_the_check_of_a_machine_fails_where_none_was_made(machines: Machines) -> None:
    with pytest.raises(AssertionError, match=r"[Nn]o such"):
        without_cluster.node_container(onprem.host("default"), "nobody")


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_rehearsal_names_changes_and_a_second_run_makes_none(
    machines: Machines, name: str
) -> None:
    rehearsed, first, second = of(name, machines.named)

    assert rehearsed - first == set()
    assert first - rehearsed == set()
    assert {one.split(" : ")[0] for one in first} == {f"{name}: {role}" for role in ROLES}
    assert second == set()


@pytest.fixture(scope="module")
def interrupted(machines: Machines) -> dict[str, dict[str, str]]:
    """When units began, before a run that finds files which nobody has read yet.

    On the alternative all files are new, on the default only what its balancer balances.
    """
    for path in {path for paths in READ.values() for path in paths}:
        outcomes.write_anew(onprem.host("alternative"), path)
    without_cluster.balance_elsewhere(onprem.host("default"))
    before = {name: outcomes.began(onprem.host(name), *READ) for name in ADDRESSES}
    code, said = machines.play()
    assert code == 0, said
    assert unchanged(said) == dict.fromkeys(ADDRESSES, True)
    return before


@pytest.mark.parametrize("unit", READ)
def test_a_unit_that_runs_since_before_its_files_were_written_is_restarted(
    interrupted: dict[str, dict[str, str]], unit: str
) -> None:
    (now,) = outcomes.began(onprem.host("alternative"), unit).values()

    assert now != interrupted["alternative"][unit]


def test_a_unit_that_has_read_its_files_is_left_alone(
    machines: Machines, interrupted: dict[str, dict[str, str]]
) -> None:
    host = onprem.host("default")
    assert outcomes.began(host, *READ) == interrupted["default"]
    reloaded = outcomes.changed_last(host, BALANCER)

    code, said = machines.play()

    assert code == 0, said
    assert outcomes.began(host, *READ) == interrupted["default"]
    assert outcomes.changed_last(host, BALANCER) == reloaded


@pytest.mark.usefixtures("interrupted")
def test_a_balancer_that_read_another_file_is_reloaded() -> None:
    without_cluster.api_balancer(onprem.host("default"), "default")


def test_a_rehearsal_of_other_inputs_names_exactly_what_the_run_then_changes(
    machines: Machines,
) -> None:
    other = ("--extra-vars", json.dumps(without_cluster.OTHER_INPUTS))

    rehearsed, changed, again = map(named, thrice(lambda *more: machines.play(*other, *more)))

    assert rehearsed - changed == set()
    assert changed - rehearsed == set()
    configured = {f"{name}: {role}" for name in ADDRESSES for role in without_cluster.CONFIGURED}
    assert {one.split(" : ")[0] for one in changed} == configured
    assert again == set()


def test_a_second_run_over_the_containers_changes_none(machines: Machines) -> None:
    done = onprem.play(machines.folder, "containers")

    assert done.returncode == 0, done.stdout + done.stderr
    assert unchanged(done.stdout) == dict.fromkeys(ADDRESSES, True)
