"""The roles of a backup over a real etcd without a cluster: tools, a backup, and two restores.

The tests build on each other. The cluster around it, its registry and its models are the drill's
(test_backup.py).
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest
from testinfra.host import Host

from infra.backup import manifest, restore, seal, shelf
from tests.hosts import etcd_ground, outcomes
from tests.hosts.etcd_ground import ADDRESSES, FIRST, KEY, PKI, SEALING, SECOND, VALUE, Ground
from tests.hosts.machines import fails, thrice

pytestmark = pytest.mark.scenarios
PREPARED = "/etc/kubernetes/modelyard-prepared"
FILES = "find /etc/kubernetes /var/lib/modelyard /srv -type f -printf '%p %s %T@\\n' | sort"
# The default begins on the second machine, the alternative on the first: the other one is emptied.
BEGINS = {"default": SECOND, "alternative": FIRST}


@dataclass
class House:
    """The machines, what was found out before a role ran, and what the tests find out."""

    ground: Ground
    failed: set[tuple[str, str]]
    tools: list[str]
    outsider: Path
    backups: dict[str, Path] = field(default_factory=dict)
    latest: int = 0
    """Revision that etcd had last."""

    def host(self, name: str) -> Host:
        return self.ground.host(name)

    def shelf(self, scenario: str) -> Path:
        """Folder of the backups of a scenario."""
        return self.ground.folder / "backups" / scenario

    def key(self, scenario: str) -> Path:
        """The private key that opens them."""
        return self.ground.folder / "backup.key" if scenario == "default" else self.outsider

    def backup(self, scenario: str, **more: Any) -> tuple[int, str]:
        """Back up; the alternative encrypts for somebody else and keeps less."""
        inputs: dict[str, Any] = {
            "backup_folder": str(self.shelf(scenario)),
            "backup_key": str(self.ground.folder / "backup.key"),
        }
        if scenario == "alternative":
            inputs |= {
                "backup_recipients": [str(seal.identity(self.outsider).to_public())],
                "backup_keep": {"last": 1, "hours": 0, "days": 0, "weeks": 0},
                "backup_registry": False,
                "backup_keys": [],
            }
        return self.ground.play("backup", **inputs | more)

    def restore(self, scenario: str, *arguments: str) -> tuple[int, str]:
        """Restore on the scenario's machine."""
        inputs: dict[str, Any] = {
            "etcd_restore_from": str(self.backups[scenario]),
            "etcd_restore_key": str(self.key(scenario)),
            "etcd_restore_host": BEGINS[scenario],
        }
        return self.ground.play("etcd_restore", *arguments, **inputs)


def backed_up(folder: Path, key: Path, target: Path) -> set[str]:
    """Names in the newest backup's part of a control plane; AssertionError where there is none."""
    stamps = shelf.names(folder)
    assert stamps, f"{folder} holds no backup"
    manifest.require_whole(folder / stamps[-1], manifest.read(folder / stamps[-1]))
    restore.open_cluster(folder / stamps[-1], key, target)
    done = subprocess.run(["tar", "--list", "--file", target], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {*done.stdout.split()}


def prepared(host: Host, name: str) -> None:
    """Authorities, etcd's data and the mark lie where kubeadm looks for them."""
    for file in ("ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"):
        assert host.file(f"{PKI}/{file}").mode == 0o600, file
    assert host.file("/var/lib/etcd/member/snap/db").exists
    assert host.file(PREPARED).exists
    assert not host.file("/var/lib/modelyard/restore").exists


def tools(host: Host, name: str) -> None:
    """The version is etcd's; the second machine has copies."""
    outcomes.etcd_tools(host)
    for tool in ("etcdctl", "etcdutl"):
        assert host.file(f"/usr/local/bin/{tool}").is_symlink is (name == FIRST)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("etcd")
    outsider = folder / "outsider.key"
    outsider.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with etcd_ground.ground(folder) as ground:
        made = House(ground=ground, failed=set(), tools=[], outsider=outsider)
        for name in ADDRESSES:
            for role, check in {"etcd_tools": tools, "etcd_restore": prepared}.items():
                if fails(check, ground.host(name), name):
                    made.failed.add((role, name))
        made.tools.extend(thrice(lambda *arguments: ground.play("etcd_tools", *arguments)))
        first = ground.host(FIRST)
        etcd_ground.certify(first, FIRST)
        etcd_ground.start(first, FIRST)
        outcomes.said(first, f"{etcd_ground.CLIENT} put {KEY} '{VALUE}'")
        outcomes.said(first, f"umask 077; echo sealing > {SEALING}")
        yield made


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("role", ["etcd_tools", "etcd_restore"])
def test_the_check_of_a_role_failed_before_it_ran(house: House, role: str, name: str) -> None:
    assert (role, name) in house.failed


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_machine_has_the_tools_of_its_etcd(house: House, name: str) -> None:
    tools(house.host(name), name)


def test_a_second_run_of_the_tools_changes_nothing(house: House) -> None:
    rehearsed, first, second = house.tools
    assert "changed=0 " not in rehearsed
    assert "changed=0 " not in first
    assert second.count("changed=0 ") == second.count("changed=") == len(ADDRESSES)


def test_a_machine_without_etcd_gives_no_backup_and_the_check_says_so(
    house: House, tmp_path: Path
) -> None:
    code, said = house.backup("default", backup_control_plane=SECOND)

    assert code == 2, said
    with pytest.raises(AssertionError, match="holds no backup"):
        backed_up(house.shelf("default"), house.key("default"), tmp_path / "opened")
    assert not house.host(SECOND).file("/var/lib/modelyard/backup").exists


@pytest.mark.parametrize("scenario", BEGINS)
def test_a_backup_holds_data_and_authorities_and_leaves_the_machine_as_it_was(
    house: House, scenario: str, tmp_path: Path
) -> None:
    before = outcomes.said(house.host(FIRST), FILES)

    code, said = house.backup(scenario)

    assert code == 0, said
    names = backed_up(house.shelf(scenario), house.key(scenario), tmp_path / "opened")
    assert {"etcd.db", "pki/ca.key", "pki/sa.key", "pki/etcd/ca.key"} <= names
    assert "pki/apiserver.key" not in names
    assert ("encryption.yaml" in names) is (scenario == "default")
    assert outcomes.said(house.host(FIRST), FILES) == before
    house.backups[scenario] = house.shelf(scenario) / shelf.names(house.shelf(scenario))[-1]


def test_a_backup_for_somebody_else_cannot_be_opened_here(house: House, tmp_path: Path) -> None:
    found = house.backups["alternative"] / manifest.CLUSTER

    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(found.read_bytes(), [seal.identity(house.key("default"))])


def test_of_backups_as_many_stay_as_were_asked_for(house: House) -> None:
    for scenario in BEGINS:
        code, said = house.backup(scenario)
        assert code == 0, said

    assert len(shelf.names(house.shelf("default"))) == 2
    (left,) = shelf.names(house.shelf("alternative"))
    assert left != house.backups["alternative"].name
    house.backups["alternative"] = house.shelf("alternative") / left


@pytest.mark.parametrize("scenario", BEGINS)
def test_a_rehearsal_of_a_restore_changes_nothing(house: House, scenario: str) -> None:
    before = [outcomes.said(house.host(name), FILES) for name in ADDRESSES]

    code, said = house.restore(scenario, "--check")

    assert code == 0, said
    assert [outcomes.said(house.host(name), FILES) for name in ADDRESSES] == before


@pytest.mark.parametrize("scenario", BEGINS)
def test_keys_and_data_come_back_where_a_cluster_begins_and_the_other_is_emptied(
    house: House, scenario: str
) -> None:
    begins = BEGINS[scenario]
    (other,) = {*ADDRESSES} - {begins}
    etcd_ground.stop(house.host(other))

    code, said = house.restore(scenario)

    assert code == 0, said
    prepared(house.host(begins), begins)
    for path in (PKI, "/var/lib/etcd", PREPARED):
        assert not house.host(other).file(path).exists
    _holds_what_was_kept(house, scenario)


def test_a_second_restore_leaves_the_same_behind_at_a_revision_that_nobody_saw(
    house: House,
) -> None:
    host = house.host(BEGINS["alternative"])
    outcomes.said(host, f"{etcd_ground.CLIENT} put {KEY} 'after the first restore'")
    value, house.latest = etcd_ground.read(host)
    assert value != VALUE
    etcd_ground.stop(host)

    code, said = house.restore("alternative")

    assert code == 0, said
    prepared(house.host(FIRST), FIRST)
    _holds_what_was_kept(house, "alternative")


def _holds_what_was_kept(house: House, scenario: str) -> None:
    name = BEGINS[scenario]
    host = house.host(name)
    etcd_ground.certify(host, name)
    etcd_ground.start(host, name)
    value, revision = etcd_ground.read(host)
    assert value == VALUE
    assert revision > house.latest
    house.latest = revision
