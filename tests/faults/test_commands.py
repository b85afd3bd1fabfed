"""Two commands at once, a machine that lacks something: refused with what is the matter."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.pipeline import lock
from ci.toolchain import resources
from infra import places
from tests.faults.terminal import Watched
from tests.system.house import NAME, House, run, told, until

pytestmark = [pytest.mark.faults, pytest.mark.system]

LITTLE = 64 * 2**20


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """What a refusal said, in one line; fails for any other end."""
    said = " ".join((result.stdout + result.stderr).split())
    assert result.returncode == 2, told(result)
    for word in ("key:", "value:", "rule:", "remedy:"):
        assert word in said, told(result)
    assert "Traceback" not in said
    return said


def test_of_two_ups_at_once_the_second_is_refused_with_the_firsts_path_and_process(
    house: House,
) -> None:
    with Watched("up", NAME) as first:
        owner = until("the first has the lock", lambda: held_by(first.process.pid))
        said = refused(house.yard("up", NAME))
        assert first.finish() == 0, first.tail()

    assert f"process {owner.pid} of {places.REPOSITORY}" in said


def held_by(pid: int) -> lock.Owner | None:
    found = lock.owner(NAME)
    return found if found and found.pid == pid else None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with hardly any room."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={LITTLE}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_too_little_disk_is_refused_with_what_is_needed_and_what_is_free(
    house: House, small_disk: Path
) -> None:
    result = run(house.yard_path, "up", NAME, environment={"XDG_CACHE_HOME": str(small_disk)})
    said = refused(result)

    assert f"free disk at {small_disk}" in said
    assert "0.1 GiB" in said
    assert "are needed for what is not yet built" in said
    assert "larger disk" in said


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A control group with hardly any memory, as a container with a limit has."""
    root = Path("/sys/fs/cgroup")
    unified = (root / "cgroup.controllers").is_file()
    group = (root if unified else root / "memory") / f"modelyard-faults-{os.getpid()}"
    group.mkdir()
    limit = "memory.max" if unified else "memory.limit_in_bytes"
    (group / limit).write_text(str(1024 * 2**20))
    yield group
    group.rmdir()


def test_too_little_memory_is_refused_with_what_is_needed_and_what_is_free(
    house: House, small_memory: Path, tmp_path: Path
) -> None:
    # In there, and seeing it as its own root: so containers see theirs.
    see = f'mount --bind {small_memory} {small_memory.parent} && exec "$0" "$@"'
    enter = f'echo $$ > {small_memory}/cgroup.procs && exec unshare --mount sh -c "$SEE" "$0" "$@"'
    # An empty cache, so that there is work which needs memory.
    result = run(
        *("sh", "-c", enter, house.yard_path, "up", NAME),
        environment={"XDG_CACHE_HOME": str(tmp_path), "SEE": see},
    )
    said = refused(result)

    assert "key: free memory" in said
    assert resources.memory() > 2 * 2**30, "the machine itself has enough"
    assert "are needed for what is not yet built" in said


def test_no_container_engine_is_refused_where_none_can_be_started(house: House) -> None:
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    said = refused(run(house.yard_path, "up", NAME, environment=nowhere))

    assert "no container engine answers there" in said
    assert "unset DOCKER_HOST" in said


def test_after_all_these_refusals_the_environment_is_as_before(house: House) -> None:
    changes = json.loads(house.done("preview", NAME, "--json"))["changes"]

    assert changes.pop("same") > 0
    assert set(changes.values()) == {0}
