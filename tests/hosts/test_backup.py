"""The drill: an environment is backed up, loses its control plane, then everything, and comes back.

On an environment of its own, `drill`, with platform and model. Run by itself: it takes some 20
minutes, and fits beside no other environment where root may have 128 inotify instances.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
import pytest

from ci import procfs
from ci.pipeline import node_probe, prediction, status
from infra import contract, environment, places
from infra.backup import manifest, shelf
from infra.environment import Environment
from tests.hosts import machines, objects
from tests.system import house

pytestmark = pytest.mark.scenarios
NAME = "drill"
SHELF = places.data(NAME) / "backups"
KEY = places.data(NAME) / "backup.key"
YARD = Path(sys.executable).parent / "yard"
LOST_S = 300
"""Most that may be lost: the time between two backups, and that of one."""
SCHEDULE = re.compile(r"^\*/(\d+) .*/yard backup ", re.MULTILINE)
"""A line of cron in docs/backup.md."""


@dataclass
class Drill:
    """What one test finds out and the next ones need."""

    before: dict[str, str] = field(default_factory=dict)
    answered: str = ""
    last: Path = Path()


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    """The environment `drill`, up; with its backups in their place, and gone in the end."""
    found = environment.load(NAME)
    house.run(YARD, "down", NAME, "--take")
    shutil.rmtree(places.data(NAME), ignore_errors=True)
    try:
        _yard("up")
        yield found
    finally:
        house.run(YARD, "down", NAME)
        shutil.rmtree(places.data(NAME), ignore_errors=True)


@pytest.fixture(scope="module")
def drill() -> Drill:
    return Drill()


def _yard(*arguments: object, code: int = 0) -> str:
    command, *more = arguments
    done = house.run(YARD, str(command), NAME, *map(str, more))
    assert done.returncode == code, house.told(done)
    return done.stdout + done.stderr


def _prediction() -> prediction.Answer:
    return prediction.proven(contract.load(environment.load(NAME)), "digits", lambda *_: None)


def _stamps() -> list[str]:
    return shelf.names(SHELF)


def _sound() -> bool:
    found = status.read(NAME)
    return all(node.ready for node in found.nodes) and all(
        one.ready >= one.wanted for one in found.platform
    )


def _measure(request: pytest.FixtureRequest, text: str) -> None:
    """Say a figure; docs/backup.md holds those of one run."""
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    reporter.write_line(f"\n{text}")


def _descendants(process: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    parents = {
        int(folder.name): told.parent
        for folder in Path("/proc").glob("[0-9]*")
        if (told := procfs.stat(int(folder.name)))
    }
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def test_a_backup_holds_cluster_state_and_registry_and_nothing_can_be_read(
    env: Environment, request: pytest.FixtureRequest
) -> None:
    began = time.monotonic()
    _yard("backup")
    _measure(request, f"first backup: {time.monotonic() - began:.0f} s")

    folder = SHELF / _stamps()[-1]
    found = manifest.read(folder)
    assert found.registry
    assert [one.repository for one in found.images] == ["digits"]
    assert found.missing == ()
    secret = (places.state(NAME) / "credentials" / "passphrase").read_bytes()
    for path in folder.rglob("*.age"):
        assert path.read_bytes().startswith(b"age-encryption.org/v1")
        assert secret not in path.read_bytes()
    stranger = pyrage.x25519.Identity.generate()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt((folder / manifest.CLUSTER).read_bytes(), [stranger])


def test_the_keys_of_the_cluster_and_its_data_are_in_it(env: Environment, tmp_path: Path) -> None:
    folder = SHELF / _stamps()[-1]
    opened = tmp_path / "cluster.tar.gz"
    age = house.run(
        sys.executable, "-c", "import sys; from pathlib import Path; from infra.backup import "
        "restore; restore.open_cluster(*map(Path, sys.argv[1:]))",
        folder, KEY, opened,
    )  # fmt: skip
    assert age.returncode == 0, house.told(age)

    listed = house.run("tar", "--list", "--file", opened).stdout.split()
    keys = {"ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"}
    wanted = {f"pki/{name}" for name in keys} | {"etcd.db", "encryption.yaml"}
    assert wanted <= {*listed}
    assert "pki/apiserver.key" not in listed


def test_nothing_of_it_stays_on_the_host(env: Environment) -> None:
    name = node_probe.container_name(env, "control-1")
    left = house.run("docker", "exec", name, "ls", "/var/lib/modelyard")

    assert "backup" not in left.stdout.split()


def test_a_second_backup_has_the_change_and_stores_no_image_again(
    env: Environment, request: pytest.FixtureRequest
) -> None:
    objects.kubectl(
        NAME, "create", "configmap", "changed", "--namespace=default", "--from-literal=a=b"
    )
    began = time.monotonic()
    _yard("backup")
    took = time.monotonic() - began
    _measure(request, f"second backup: {took:.0f} s")

    first, second = (SHELF / name for name in _stamps()[-2:])
    assert manifest.read(second).revision > manifest.read(first).revision
    for path in (first / manifest.BLOBS).iterdir():
        assert path.samefile(second / manifest.BLOBS / path.name)
    (minutes,) = SCHEDULE.findall((places.REPOSITORY / "docs" / "backup.md").read_text())
    assert int(minutes) * 60 + took < LOST_S


def test_a_killed_backup_leaves_the_last_good_one(env: Environment) -> None:
    before, folder = _stamps(), SHELF
    with subprocess.Popen(
        [YARD, "backup", NAME],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        house.until(
            "the backup has begun to write",
            lambda: any(folder.glob(f"{shelf.PARTIAL}*/{manifest.CLUSTER}")),
            every=0.001,
        )
        # Ansible's workers lead process groups of their own.
        for each in (process.pid, *_descendants(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
    assert list(folder.glob(f"{shelf.PARTIAL}*"))
    assert _stamps() == before
    manifest.require_whole(folder / before[-1], manifest.read(folder / before[-1]))

    _yard("backup")

    assert len(_stamps()) == len(before) + 1
    assert not list(folder.glob(f"{shelf.PARTIAL}*"))


def test_one_flipped_bit_refuses_the_restore_and_the_cluster_goes_on(
    env: Environment, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(SHELF / _stamps()[-1], damaged)
    blob = sorted((damaged / manifest.BLOBS).iterdir())[0]
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)

    said = _yard("restore", "--from", damaged, code=2)

    assert blob.name in said
    assert "the file was changed" in said
    assert _sound()


def test_a_rehearsal_reads_the_backup_to_its_end_and_changes_nothing(env: Environment) -> None:
    before = objects.lasting(NAME)
    newest = SHELF / _stamps()[-1]
    done = house.run(
        Path(sys.executable).parent / "ansible-playbook",
        *("--inventory", "ansible/inventories/drill", "--check", "--diff"),
        *("--extra-vars", json.dumps({"restore_from": str(newest)})),
        "ansible/playbooks/restore.yml",
        environment={"ANSIBLE_CONFIG": str(places.REPOSITORY / "ansible" / "ansible.cfg")},
    )

    assert done.returncode == 0, house.told(done)
    assert "Put back what this machine keeps" in done.stdout
    assert objects.lasting(NAME) == before
    assert _sound()


def test_a_control_plane_that_is_destroyed_comes_back_with_every_object(
    env: Environment, drill: Drill, request: pytest.FixtureRequest
) -> None:
    drill.answered = _prediction().digest
    drill.before = objects.lasting(NAME)
    _yard("backup")
    objects.kubectl(NAME, "create", "configmap", "too-late", "--namespace=default")
    drill.last = SHELF / _stamps()[-1]
    made = manifest.read(drill.last).made
    machines.destroy(env, "control-1")
    lost = time.time() - _seconds(made)

    began = time.monotonic()
    _yard("restore", "--from", drill.last)
    took = time.monotonic() - began

    _measure(request, f"control plane: restored in {took:.0f} s, lost the last {lost:.0f} s")
    assert took < machines.RESTORE_MINUTES * 60
    assert lost < LOST_S
    after = objects.lasting(NAME)
    assert objects.lost(drill.before, after) == {}
    assert "v1 ConfigMap default/changed" in after
    assert "v1 ConfigMap default/too-late" not in after


def test_the_model_answers_as_before_and_the_platform_is_sound(drill: Drill) -> None:
    assert _prediction().digest == drill.answered
    house.until("everything is ready", _sound, seconds=300)


def test_another_up_finds_nothing_to_change(env: Environment) -> None:
    assert "nothing changed" in _yard("up")


def test_all_that_there_was_comes_back_on_hosts_and_a_machine_that_know_nothing_of_it(
    env: Environment, drill: Drill, request: pytest.FixtureRequest
) -> None:
    _yard("down")
    assert not places.state(NAME).exists()
    assert _stamps()[-1] == drill.last.name

    began = time.monotonic()
    _yard("restore", "--from", drill.last)
    answer = _prediction()
    took = time.monotonic() - began

    _measure(request, f"everything: answers {took:.0f} s after the restore began")
    assert took < machines.RESTORE_MINUTES * 60
    assert answer.digest == drill.answered
    after = objects.lasting(NAME)
    # The nodes are new, and so are the pods that ran there.
    anew = ("Node", "Pod", "CSINode", "EndpointSlice")
    assert objects.lost(drill.before, after, *anew) == {}
    house.until("everything is ready", _sound, seconds=300)


def test_then_another_up_finds_nothing_to_change_either(env: Environment) -> None:
    _yard("up")
    assert "nothing changed" in _yard("up")


def _seconds(moment: str) -> float:
    return time.mktime(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
