"""A machine that could not carry the cluster ends hosts.yml before anything changes anywhere.

Two bare machines; misfortune strikes one of them. Its clock is wrong for Ansible's interpreter
alone, its full disk is a file system in memory.
"""

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from testinfra.host import Host

from infra.environment import Environment
from tests.ansible import command
from tests.ansible.test_inventory import FACTS
from tests.hosts import machines, outcomes

pytestmark = pytest.mark.scenarios
LATE = "/srv/late"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A struck machine and a sound one, and where the inventory and this machine's state lie."""

    struck: Host
    sound: Host
    folder: Path

    def run(self, *arguments: str, **more: object) -> tuple[int, str, list[dict[str, str]]]:
        """hosts.yml over both, with variables of the struck one: exit code, words, refusals."""
        inventory = self.folder / "inventories" / "onprem"
        inventory.mkdir(parents=True, exist_ok=True)
        (inventory / "hosts.yml").write_text(yaml.safe_dump(_inventory(more)))
        reader, writer = os.pipe()
        with os.fdopen(reader) as lines:
            done = command.run(
                *("playbook", "--inventory", inventory, *arguments),
                command.ANSIBLE / "playbooks" / "hosts.yml",
                descriptors=[writer],
                ANSIBLE_CALLBACKS_ENABLED="progress",
                MODELYARD_PROGRESS_FD=writer,
                XDG_STATE_HOME=self.folder / "state",
            )
            os.close(writer)
            told = [json.loads(line) for line in lines]
        return done.returncode, done.stdout, [one for one in told if "refused" in one]

    def untouched(self) -> bool:
        """Whether neither machine has anything of what the first roles bring."""
        brought = "ls /etc/containerd/certs.d /usr/local/bin/ctr /etc/kubernetes"
        return all("No such file" in host.run(brought).stderr for host in (self.struck, self.sound))


def _inventory(struck: dict[str, object]) -> dict[str, Any]:
    hosts: dict[str, dict[str, object]] = {
        name: {
            "ansible_connection": "docker",
            "ansible_host": f"modelyard-test-{part}",
            "node_address": address,
            "node_pod_subnet": subnet,
            "node_pool": kind,
            "node_kind": kind,
        }
        for name, part, kind, address, subnet in (
            ("control-1", "sound", "control", "192.0.2.1", "10.246.1.0/24"),
            ("cpu-1", "struck", "cpu", "192.0.2.2", "10.246.2.0/24"),
        )
    }
    hosts["cpu-1"] |= struck
    groups = {
        "machines": {"children": {"kubernetes": None}},
        "kubernetes": {"children": {"control_plane": None, "workers": None}},
        "control_plane": {"hosts": {"control-1": hosts["control-1"]}},
        "workers": {"hosts": {"cpu-1": hosts["cpu-1"]}},
    }
    return {"all": {"children": groups}}


@pytest.fixture(scope="module")
def ground(
    env: Environment, engine_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("preflight")
    facts = folder / "state" / "modelyard" / "onprem" / "hosts" / "facts.json"
    facts.parent.mkdir(parents=True)
    facts.write_text(json.dumps(FACTS))
    with (
        machines.bare(engine_client, env, "modelyard-test-struck") as struck,
        machines.bare(engine_client, env, "modelyard-test-sound") as sound,
    ):
        yield Ground(struck=struck, sound=sound, folder=folder)


def _refused(ground: Ground, where: str, **more: object) -> dict[str, str]:
    """Run it; the one refusal, of the struck machine and what it is about."""
    code, said, refusals = ground.run(**more)
    assert code in {2, 4}, said  # 4: a host did not answer
    assert ground.untouched()
    assert "changed=0 " in said
    assert not any(f"changed={many}" in said for many in range(1, 10)), said
    (refused,) = refusals
    assert refused["where"] == f"cpu-1: {where}"
    # Whoever runs ansible-playbook by hand reads it, too.
    for part in (refused["rule"], refused["remedy"]):
        assert " ".join(part.split()) in " ".join(said.split())
    return refused


def test_sound_machines_are_let_pass(ground: Ground) -> None:
    code, said, refusals = ground.run("--tags", "always")

    assert (code, refusals) == (0, []), said
    assert ground.untouched()


def test_a_machine_that_does_not_answer_is_refused(ground: Ground) -> None:
    refused = _refused(ground, "ansible_host", ansible_host="modelyard-test-switched-off")

    assert refused["value"] == "modelyard-test-switched-off"


def test_a_user_who_may_not_become_root_is_refused(ground: Ground) -> None:
    outcomes.said(ground.struck, "useradd --create-home visitor")

    assert _refused(ground, "ansible_user", ansible_user="visitor")["value"] == "visitor"


@pytest.mark.parametrize(
    ("where", "options", "value"),
    [
        ("disk /var/tmp", "size=64k", "0 GiB free"),
        ("files /var/lib/etcd", "size=3g,nr_inodes=1", "0 % free"),
    ],
    ids=["of bytes", "of files"],
)
def test_a_full_disk_is_refused(ground: Ground, where: str, options: str, value: str) -> None:
    path = where.split()[1]
    outcomes.said(ground.struck, f"mkdir -p {path}")
    outcomes.said(ground.struck, f"mount -t tmpfs -o {options} tmpfs {path}")
    try:
        refused = _refused(ground, where)
    finally:
        outcomes.said(ground.struck, f"umount {path}")

    assert refused["value"] == value


def test_a_machine_without_the_folder_of_a_storage_class_is_refused(ground: Ground) -> None:
    refused = _refused(ground, "storage", kubernetes_volume_folders=["/srv/late", "/srv/nvme"])

    assert refused["value"] == "/srv/late"


def test_a_wrong_clock_is_refused(ground: Ground) -> None:
    behind = "import time\nright = time.time\ntime.time = lambda: right() - 90\n"
    interpreter = f'#!/bin/sh\nPYTHONPATH={LATE} exec /usr/bin/python3 "$@"\n'
    outcomes.said(ground.struck, f"mkdir -p {LATE}")
    for name, text in (("sitecustomize.py", behind), ("python3", interpreter)):
        outcomes.said(ground.struck, f"printf %s {shlex.quote(text)} > {LATE}/{name}")
    outcomes.said(ground.struck, f"chmod 755 {LATE}/python3")

    refused = _refused(ground, "clock", ansible_python_interpreter=f"{LATE}/python3")

    # The call's own time is not held against the clock, and a busy machine may need seconds for it.
    assert 30 < float(refused["value"].split()[0]) <= 91


@pytest.mark.parametrize(
    ("release", "value"),
    [
        ("ID=alpine\nPRETTY_NAME=Alpine\n", "Alpine"),
        (
            'ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian 11 (bullseye)"\n',
            "Debian 11 (bullseye)",
        ),
    ],
    ids=["unknown", "too old"],
)
def test_a_system_that_no_role_knows_is_refused(ground: Ground, release: str, value: str) -> None:
    outcomes.said(ground.struck, "mv /etc/os-release /etc/kept")
    outcomes.said(ground.struck, f"printf %s {shlex.quote(release)} > /etc/os-release")
    try:
        refused = _refused(ground, "system")
    finally:
        outcomes.said(ground.struck, "mv /etc/kept /etc/os-release")

    assert refused["value"] == value
