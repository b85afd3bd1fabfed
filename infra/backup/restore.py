"""Put a backup back: what is looked at first, and the parts that this machine does itself."""

import io
import tempfile
from pathlib import Path

from infra import contract, places
from infra.backup import images, manifest, seal, state
from infra.backup.manifest import Manifest, Versions
from infra.environment import Environment
from infra.refusal import Refusal


def checked(env: Environment, folder: Path, key: Path, versions: Versions) -> Manifest:
    """The manifest of a backup that can be restored here; raises Refusal for any other.

    ``versions`` are those of what would read the data. Every file is read and compared; those of
    cluster and state are decrypted, to prove the key.
    """
    found = manifest.read(folder)
    if found.environment != env.name:
        rule = f"the inventory belongs to {env.name}, and a cluster keeps its names for good"
        raise Refusal(
            f"{folder}: environment",
            found.environment,
            rule,
            f"Name a backup of {env.name}, or the inventory of {found.environment}.",
        )
    for name in ("kubernetes", "etcd"):
        _require_version(folder, name, found, getattr(versions, name))
    manifest.require_whole(folder, found)
    identity = seal.identity(key)
    for name in (manifest.CLUSTER, manifest.STATE):
        with tempfile.TemporaryFile(dir=memory()) as opened:
            seal.unseal(folder / name, opened, identity)
    return found


def _require_version(folder: Path, name: str, found: Manifest, here: str) -> None:
    there = getattr(found.versions, name)
    if there.split(".")[:2] != here.split(".")[:2]:
        commit = f" (commit {found.commit[:12]} did)" if found.commit else ""
        raise Refusal(
            f"{folder}: versions.{name}",
            there,
            f"the hosts would get {here}, and a minor version reads the data of its own alone",
            f"Let the environment have {there} again{commit}, restore, and upgrade afterwards.",
        )


def open_cluster(folder: Path, key: Path, target: Path) -> None:
    """Decrypt the control plane's part into a file that is there and ours alone."""
    with target.open("wb") as file:
        seal.unseal(folder / manifest.CLUSTER, file, seal.identity(key))


def state_of_this_machine(env: Environment, folder: Path, key: Path) -> list[str]:
    """Put back what this machine keeps; returns names of files and folders."""
    with tempfile.TemporaryFile(dir=memory()) as opened:
        seal.unseal(folder / manifest.STATE, opened, seal.identity(key))
        opened.seek(0)
        return state.unpack(opened, places.state(env.name), env.name)


def registry(env: Environment, folder: Path, key: Path) -> list[str]:
    """Push what the registry has not; returns REPOSITORY:TAG of what was pushed."""
    found, identity = manifest.read(folder), seal.identity(key)
    pushed = []
    with images.connect(contract.load(env)) as target:
        for image in found.images:
            if target.has(image):
                continue
            for digest in image.blobs:
                if not target.has_blob(image.repository, digest):
                    with tempfile.TemporaryFile() as opened:
                        seal.unseal(folder / manifest.blob(digest), opened, identity)
                        target.push_blob(image.repository, digest, opened)
            content = io.BytesIO()
            seal.unseal(folder / manifest.blob(image.digest), content, identity)
            target.push_manifest(image, content.getvalue())
            pushed.append(f"{image.repository}:{image.tag or image.digest}")
    return pushed


def memory() -> str | None:
    """Where an unnamed file is not on a disk, if the machine has such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - its file has no name
