"""What a backup is, who can read it, and when it is refused: without any cluster."""

import datetime as dt
import io
import shutil
import tarfile
from pathlib import Path

import pyrage
import pytest

from infra import places
from infra.backup import manifest, restore, seal, shelf
from infra.backup.state import unpack
from infra.environment import Environment
from infra.refusal import Refusal
from tests.infra.backup.conftest import PASSPHRASE, VERSIONS, Backup


def test_a_backup_can_be_restored_to_the_byte(
    env: Environment, backup: Backup, key: Path, tmp_path: Path
) -> None:
    folder = backup(b"etcd and keys")

    found = restore.checked(env, folder, key, VERSIONS)
    restore.open_cluster(folder, key, tmp_path / "opened")

    assert (tmp_path / "opened").read_bytes() == b"etcd and keys"
    assert (found.environment, found.made, found.revision) == ("drill", "2026-11-21T12:00:00Z", 7)


def test_this_machines_state_comes_back_with_its_passphrase_and_without_what_is_newer(
    env: Environment, backup: Backup, key: Path
) -> None:
    state = places.state("drill")
    folder = backup()
    (state / "credentials" / "passphrase").write_text("another")
    (state / "releases" / "embed.yaml").write_text("name: embed")
    (state / "platform.json").write_text("[]")

    back = restore.state_of_this_machine(env, folder, key)

    assert back == ["credentials", "pulumi", "releases"]
    assert (state / "credentials" / "passphrase").read_text() == PASSPHRASE
    assert not (state / "releases" / "embed.yaml").exists()
    assert not (state / "platform.json").exists()
    assert not (state / "pulumi" / ".pulumi" / "locks").exists()
    assert (state / "owner.json").exists()
    assert not list(state.glob(".restoring-*"))


def test_a_restore_that_was_killed_half_way_is_completed_by_the_next(
    env: Environment, backup: Backup, key: Path
) -> None:
    state = places.state("drill")
    folder = backup()
    moved = state / ".restoring-killed" / "old"
    moved.mkdir(parents=True)
    (state / "credentials").rename(moved / "credentials")

    restore.state_of_this_machine(env, folder, key)

    assert (state / "credentials" / "passphrase").read_text() == PASSPHRASE
    assert not list(state.glob(".restoring-*"))


def test_an_archive_that_is_none_leaves_the_state_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()

    with pytest.raises(tarfile.ReadError):
        unpack(io.BytesIO(b"no archive"), tmp_path, "drill")

    assert [path.name for path in tmp_path.iterdir()] == ["credentials"]


def test_the_state_comes_back_on_a_machine_that_has_none(
    env: Environment, backup: Backup, key: Path
) -> None:
    folder = backup()
    shutil.rmtree(places.state("drill"))

    restore.state_of_this_machine(env, folder, key)

    passphrase = places.state("drill") / "credentials" / "passphrase"
    assert passphrase.read_text() == PASSPHRASE


def test_nothing_of_a_backup_can_be_read_without_the_key(backup: Backup) -> None:
    folder = backup(b"etcd and keys")

    contents = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"etcd and keys" not in contents
    assert PASSPHRASE.encode() not in contents
    stranger = pyrage.x25519.Identity.generate()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt((folder / manifest.CLUSTER).read_bytes(), [stranger])


def test_folders_and_files_are_ours_alone(backup: Backup, key: Path) -> None:
    folder = backup()

    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", [manifest.NAME, manifest.SUM, manifest.CLUSTER, manifest.STATE], ids=str
)
@pytest.mark.parametrize("place", [0, -2], ids=["first byte", "last bytes"])
def test_one_flipped_bit_refuses_the_restore(
    env: Environment, backup: Backup, key: Path, name: str, place: int
) -> None:
    folder = backup()
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(Refusal, match="digest is not the one in") as refused:
        restore.checked(env, folder, key, VERSIONS)

    assert "Restore from another backup" in refused.value.remedy


def test_a_missing_file_refuses_the_restore(env: Environment, backup: Backup, key: Path) -> None:
    folder = backup()
    (folder / manifest.STATE).unlink()

    with pytest.raises(Refusal, match="it is missing"):
        restore.checked(env, folder, key, VERSIONS)


def test_another_environments_backup_is_refused(
    env: Environment, backup: Backup, key: Path
) -> None:
    other = env.model_copy(update={"name": "test"})

    with pytest.raises(Refusal, match="keeps its names") as refused:
        restore.checked(other, backup(), key, VERSIONS)

    assert refused.value.value == "drill"


@pytest.mark.parametrize(
    ("kubernetes", "etcd", "refused"),
    [
        ("1.36.9", "3.6.9", None),
        ("1.35.4", "3.6.8", "versions.kubernetes"),
        ("1.37.0", "3.6.8", "versions.kubernetes"),
        ("1.36.3", "3.5.1", "versions.etcd"),
    ],
)
def test_data_is_restored_into_its_own_minor_version_alone(
    env: Environment, backup: Backup, key: Path, kubernetes: str, etcd: str, refused: str | None
) -> None:
    folder, here = backup(), manifest.Versions(kubernetes=kubernetes, etcd=etcd)

    if refused is None:
        assert restore.checked(env, folder, key, here).revision == 7
        return
    with pytest.raises(Refusal, match="reads the data of its own alone") as said:
        restore.checked(env, folder, key, here)
    assert refused in said.value.where


def test_another_key_is_refused_before_anything_is_restored(
    env: Environment, backup: Backup, tmp_path: Path
) -> None:
    folder = backup()
    seal.recipients([], tmp_path / "another.key", [])

    with pytest.raises(Refusal, match="does not open it"):
        restore.checked(env, folder, tmp_path / "another.key", VERSIONS)
    with pytest.raises(Refusal, match="restore_key is"):
        restore.checked(env, folder, tmp_path / "none.key", VERSIONS)


def test_a_file_that_is_no_key_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")

    with pytest.raises(Refusal) as refused:
        seal.identity(tmp_path / "key")

    assert "hunter2" not in str(refused.value)


def test_with_recipients_of_a_team_no_key_is_made_here(backup: Backup, key: Path) -> None:
    away = pyrage.x25519.Identity.generate()

    folder = backup(b"etcd and keys", to=[str(away.to_public())])

    assert not key.exists()
    assert pyrage.decrypt((folder / manifest.CLUSTER).read_bytes(), [away]) == b"etcd and keys"
    with pytest.raises(Refusal, match="backup_recipients"):
        backup(to=["age1nonsense"])


def test_a_lost_key_is_not_replaced_in_silence(backup: Backup, key: Path) -> None:
    backup()
    key.unlink()

    with pytest.raises(Refusal, match="the newest backup is encrypted to its key"):
        backup()

    assert not key.exists()


def test_a_backup_that_is_cut_off_leaves_the_last_good_one_and_is_cleared_away(
    env: Environment, backup: Backup, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = backup()

    class Killed(BaseException):
        """As SIGKILL leaves things: nothing is cleaned up."""

    def killed(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write", killed)
        patch.setattr(shutil, "rmtree", lambda *arguments, **more: None)
        with pytest.raises(Killed):
            backup()

    left = [path.name for path in good.parent.glob(f"{shelf.PARTIAL}*")]
    assert len(left) == 1
    assert shelf.names(good.parent) == [good.name]
    assert restore.checked(env, good, key, VERSIONS).revision == 7
    after = backup()
    assert shelf.names(good.parent) == [good.name, after.name]
    assert not list(good.parent.glob(f"{shelf.PARTIAL}*"))


def test_two_backups_at_once_are_refused(backup: Backup, tmp_path: Path) -> None:
    backup()

    with (
        shelf.adding(tmp_path / "backups", dt.datetime.now(dt.UTC)),
        pytest.raises(Refusal, match="another run makes a backup"),
    ):
        backup()


def test_a_damaged_backup_does_not_stop_the_next_one(backup: Backup) -> None:
    damaged = backup()
    (damaged / manifest.NAME).write_text("{}")

    assert manifest.read(backup()).revision == 7


def test_a_folder_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="it is no backup"):
        manifest.read(tmp_path)
