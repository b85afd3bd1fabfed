"""OCI images written directly: the same input gives the same bytes, and needs no container engine.

A model's image is three layers: Debian with Python, the locked packages, the Bento. The first two
are the same blobs for every model and version with the same lock, so that a registry and a node
take them once.
"""

import gzip
import hashlib
import json
import shutil
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 1024 * 1024
COMPRESSION = 6
EPOCH = "1970-01-01T00:00:00Z"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A compressed layer on disk: digests of the blob and of the tar inside, sizes in bytes."""

    path: Path
    digest: str
    diff_id: str
    size: int
    unpacked: int
    made_by: str

    def document(self) -> dict[str, Any]:
        """What a file beside the layer keeps of it."""
        return asdict(self) | {"path": self.path.name}


def remembered(document: Path) -> Layer:
    """Read a layer back from the file that keeps its :meth:`Layer.document`."""
    facts = json.loads(document.read_text())
    return Layer(**facts | {"path": document.parent / facts["path"]})


def layer(tar: BinaryIO, target: Path, made_by: str) -> Layer:
    """Compress a tar into a layer, and keep its facts in ``target`` + `.json`."""
    inside, unpacked = hashlib.sha256(), 0
    with target.open("wb") as raw, gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed:
        while block := tar.read(BLOCK):
            inside.update(block)
            unpacked += len(block)
            packed.write(block)
    with target.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    made = Layer(
        path=target,
        digest=f"sha256:{digest}",
        diff_id=f"sha256:{inside.hexdigest()}",
        size=target.stat().st_size,
        unpacked=unpacked,
        made_by=made_by,
    )
    target.with_name(f"{target.name}.json").write_text(json.dumps(made.document(), indent=1) + "\n")
    return made


def folder_layer(folder: Path, inside: str, target: Path, made_by: str) -> Layer:
    """Make a layer with the content of ``folder`` at the path ``inside``: root's, readable by all.

    Times, owners and the order of entries do not depend on this machine.
    """
    plain = target.with_suffix(".tar")
    with tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as tar:
        parts = Path(inside).parts
        for depth in range(1, len(parts) + 1):
            tar.addfile(_entry("/".join(parts[:depth]), tarfile.DIRTYPE, 0o755))
        for path in sorted(folder.rglob("*")):
            name = f"{inside}/{path.relative_to(folder)}"
            if path.is_symlink():
                raise ValueError(f"{path} is a link; a layer of ours has only files and folders")
            if path.is_dir():
                tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
            else:
                entry = _entry(name, tarfile.REGTYPE, 0o755 if _executable(path) else 0o644)
                entry.size = path.stat().st_size
                with path.open("rb") as stream:
                    tar.addfile(entry, stream)
    with plain.open("rb") as stream:
        made = layer(stream, target, made_by)
    plain.unlink()
    return made


def image(layers: list[Layer], config: dict[str, Any], tag: str, target: Path) -> str:
    """Write one image as an OCI layout, and return the digest of its manifest.

    Layers are hard links where they can be: a further version of a model costs no disk for what it
    shares with the one before.
    """
    document = {
        "created": EPOCH,
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
        "history": [{"created": EPOCH, "created_by": one.made_by} for one in layers],
    }
    settings = _json(document)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, settings),
            "layers": [
                {"mediaType": LAYER, "digest": one.digest, "size": one.size} for one in layers
            ],
        }
    )
    pointer = _descriptor(MANIFEST, manifest)
    pointer["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (target / "blobs/sha256").mkdir(parents=True)
    (target / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (target / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [pointer]}))
    for content in (manifest, settings):
        blob(target, _digest(content)).write_bytes(content)
    for one in layers:
        _place(one.path, blob(target, one.digest))
    return _digest(manifest)


def settings(layout: Path) -> dict[str, Any]:
    """How the image of a layout is run: its user, environment, entry point."""
    pointer = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads(blob(layout, pointer["digest"]).read_text())
    found = json.loads(blob(layout, manifest["config"]["digest"]).read_text())["config"]
    assert isinstance(found, dict)
    return found


def blob(layout: Path, digest: str) -> Path:
    """Where a layout has the blob of a digest."""
    return layout / "blobs" / digest.replace(":", "/")


def _place(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode  # owner root and time 0 are TarInfo's own
    return entry


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)
