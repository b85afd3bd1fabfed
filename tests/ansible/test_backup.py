"""What backup.yml and restore.yml refuse, and what they would do, without a cluster."""

import datetime as dt
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import environment
from infra.backup import make, manifest, shelf
from tests.ansible import command, example
from tests.ansible.command import ANSIBLE
from tests.ansible.test_inventory import FACTS
from tests.ansible.test_roles import _plugin

ROLES = ANSIBLE / "roles"
VERSIONS = manifest.Versions(
    kubernetes=FACTS["versions"]["kubernetes"],  # type: ignore[index]
    etcd=FACTS["versions"]["etcd"],  # type: ignore[index]
)
NODE = {"node_pod_subnet": "10.246.1.0/24", "node_pool": "control", "node_kind": "control"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example `onprem`, whose hosts are this machine, as `yard up` leaves its state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    facts = tmp_path / "state" / "modelyard" / "onprem" / "hosts" / "facts.json"
    facts.parent.mkdir(parents=True)
    facts.write_text(json.dumps(FACTS))
    folder = tmp_path / "inventories" / "onprem"
    folder.mkdir(parents=True)
    groups = {
        "kubernetes": {"children": {"control_plane": None, "workers": None}},
        "control_plane": {"hosts": {"control-1": {"node_address": "192.0.2.1", **NODE}}},
        "workers": {"hosts": {"cpu-1": {"node_address": "192.0.2.2", **NODE}}},
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups, "vars": local}}))
    return folder


@pytest.fixture
def backup(here: Path, tmp_path: Path) -> Path:
    """A backup of it where backups are looked for, with a key of its own."""
    taken = make.Taken(
        archive=b"etcd and keys",
        moment=dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC),
        control_plane="control-1",
        revision=7,
        versions=VERSIONS,
    )
    data = tmp_path / "data" / "modelyard" / "onprem"
    return make.make(
        environment.load("onprem"), data / "backups", taken,
        key=data / "backup.key", to=[], keep=shelf.Keep(), registry=False,
    )  # fmt: skip


def _rehearsed(here: Path, playbook: str, **extra: str) -> tuple[int, str]:
    """Exit code and text of a rehearsal."""
    done = command.run(
        *("playbook", "--inventory", here, "--extra-vars", "ansible_become=false", "--check"),
        *("--extra-vars", json.dumps(extra), ANSIBLE / "playbooks" / f"{playbook}.yml"),
        COLUMNS="1000",
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split()).replace("''", "'")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, ["restore_from is 'not set'", "Add -e restore_from=FOLDER"]),
        (
            {"restore_from": "FOLDER"},
            ["onprem is protected", "Add -e restore_environment=onprem"],
        ),
        (
            {"restore_from": "/nonexistent", "restore_environment": "onprem"},
            ["it is no backup", "Name the folder of one backup"],
        ),
        (
            {"restore_from": "DAMAGED", "restore_environment": "onprem"},
            ["cluster.age", "the file was changed", "Restore from another backup"],
        ),
        (
            {"restore_from": "FOLDER", "restore_environment": "onprem", "restore_key": "DAMAGED"},
            ["restore_key is", "-e restore_key=PATH"],
        ),
    ],
    ids=["no backup named", "protected", "no backup there", "a flipped bit", "no key"],
)
def test_a_restore_that_cannot_go_well_is_refused_before_anything_is_touched(
    here: Path, backup: Path, tmp_path: Path, extra: dict[str, str], expected: list[str]
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(backup, damaged)
    content = bytearray((damaged / manifest.CLUSTER).read_bytes())
    content[-1] ^= 1
    (damaged / manifest.CLUSTER).write_bytes(content)
    paths = {"FOLDER": str(backup), "DAMAGED": str(damaged)}

    code, said = _rehearsed(
        here, "restore", **{key: paths.get(value, value) for key, value in extra.items()}
    )

    assert code == 2, said
    assert [part for part in expected if part not in said] == [], said
    assert "remedy:" in said
    assert "changed=1" not in said


def test_a_machine_that_could_not_carry_it_is_refused_before_anything_is_taken_away(
    here: Path, backup: Path
) -> None:
    inventory = yaml.safe_load((here / "hosts.yml").read_text())
    inventory["all"]["children"]["workers"]["hosts"]["cpu-1"] |= example.GONE
    (here / "hosts.yml").write_text(yaml.safe_dump(inventory))

    code, said = _rehearsed(here, "restore", restore_from=str(backup), restore_environment="onprem")

    assert code == 4, said
    assert "cpu-1: ansible_host is '127.0.0.1'" in said
    assert "look at its network and SSH key" in said
    assert "TASK [Put back what this machine keeps]" not in said


def test_a_backup_into_another_hands_folder_is_refused_as_an_unknown_variable(here: Path) -> None:
    code, said = _rehearsed(here, "backup", backup_foldr="/elsewhere")

    assert code == 2
    assert "perhaps backup_folder is meant" in said


def _tasks(role: str, page: str) -> Any:
    return yaml.safe_load((ROLES / role / "tasks" / f"{page}.yml").read_text())


@pytest.mark.parametrize(
    ("role", "page", "scratch"),
    [
        ("backup", "snapshot", "{{ __backup_scratch }}"),
        ("etcd_restore", "unpack", "{{ __etcd_restore_scratch }}"),
    ],
)
def test_what_is_not_encrypted_is_roots_alone_on_the_host_and_removed_whatever_happens(
    role: str, page: str, scratch: str
) -> None:
    block = _tasks(role, page)[0]

    made = json.dumps(block["block"])
    assert scratch in made
    assert "0700" in made
    assert block["always"][-1]["ansible.builtin.file"] == {"path": scratch, "state": "absent"}


def test_authorities_are_kept_and_what_they_sign_for_a_host_is_made_anew() -> None:
    left_out = yaml.safe_load((ROLES / "backup" / "defaults" / "main.yml").read_text())

    names = [Path(pattern).name for pattern in left_out["backup_left_out"]]
    assert not any(
        Path(name).match(one) for name in ("ca.key", "sa.key", "sa.pub") for one in names
    )
    assert not any(Path("front-proxy-ca.key").match(pattern) for pattern in names)
    assert any(Path("apiserver-etcd-client.key").match(pattern) for pattern in names)


def test_folders_of_volumes_are_those_of_the_platforms_own_provisioner_on_that_node() -> None:
    def volume(node: str, path: str, kind: str = "hostPath", **annotations: str) -> object:
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "values": [node]}]}]
        spec = {
            kind: {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        }
        return {"metadata": {"name": path, "annotations": annotations}, "spec": spec}

    ours = {"pv.kubernetes.io/provisioned-by": "modelyard.dev/local-path"}
    listed = json.dumps(
        {
            "items": [
                volume("cpu-1", "/volumes/a", **ours),
                volume("cpu-2", "/volumes/b", **ours),
                volume("cpu-1", "/nvme/c", "local", **ours),
                volume("cpu-1", "/srv/of-a-team"),
            ]
        }
    )

    found = _plugin("filter/cluster.py").volume_folders(listed, "cpu-1")

    assert found == ["/nvme/c", "/volumes/a"]
