"""An environment's state on this machine, and one backup of it, without any cluster."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import environment, places
from infra.backup import make, manifest, shelf
from infra.environment import Environment

PASSPHRASE = "correct-horse"
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
VERSIONS = manifest.Versions(kubernetes="1.36.3", etcd="3.6.8")

Backup = Callable[..., Path]


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = places.state("drill")
    for name, text in {
        "credentials/passphrase": PASSPHRASE,
        "pulumi/.pulumi/stacks/modelyard/drill.json": "{}",
        "pulumi/.pulumi/locks/organization/modelyard/drill/1.json": "{}",
        "releases/digits.yaml": "name: digits",
        "logs/hosts.log": "much",
        "owner.json": "{}",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return environment.load("drill")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "data" / "backup.key"


@pytest.fixture
def backup(env: Environment, tmp_path: Path, key: Path) -> Backup:
    """Makes a backup; each is five minutes after the one before."""
    count = iter(range(1000))

    def run(archive: bytes = b"etcd and keys", **more: object) -> Path:
        given = {"key": key, "to": [], "keep": shelf.Keep(), "registry": False} | more
        taken = make.Taken(
            archive=archive,
            moment=NOON + dt.timedelta(minutes=5 * next(count)),
            control_plane="control-1",
            revision=7,
            versions=VERSIONS,
        )
        return make.make(env, tmp_path / "backups", taken, **given)  # type: ignore[arg-type]

    return run
