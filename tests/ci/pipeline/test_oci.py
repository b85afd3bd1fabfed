import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ci.pipeline import oci


def folder(root: Path, *, order: list[str]) -> Path:
    """The same two files, written in some order and at some time."""
    content = {"b/script": "#!/bin/sh\n", "a.txt": "hello"}
    for name in order:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content[name])
        os.utime(path, (len(order), hash(str(root)) % 10_000))
    (root / "b/script").chmod(0o700)
    return root


def layer(root: Path, target: Path) -> oci.Layer:
    return oci.folder_layer(root, "app/bento", target, "a test")


def image(folder: Path, layers: list[oci.Layer]) -> tuple[Path, str]:
    target = folder / "image.tar"
    return target, oci.archive(layers, {"User": "1034:1034"}, "1.0.0", target)


def blob(archive: Path, digest: str) -> bytes:
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
        assert stream is not None
        return stream.read()


def document(archive: Path, digest: str) -> dict[str, Any]:
    return dict(json.loads(blob(archive, digest)))


def test_the_same_files_give_the_same_layer_wherever_and_whenever(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", order=["a.txt", "b/script"])
    two = folder(tmp_path / "two", order=["b/script", "a.txt"])

    first = layer(one, tmp_path / "first.tar.gz")
    second = layer(two, tmp_path / "second.tar.gz")

    assert first.digest == second.digest
    assert first.diff_id == second.diff_id


def test_a_layer_belongs_to_root_and_everybody_may_read_it(tmp_path: Path) -> None:
    made = layer(folder(tmp_path / "one", order=["a.txt", "b/script"]), tmp_path / "l.tar.gz")

    with tarfile.open(made.path) as tar:
        entries = {e.name: (oct(e.mode), e.uid, e.gid, e.mtime, e.isdir()) for e in tar}

    assert entries == {
        "app": ("0o755", 0, 0, 0, True),
        "app/bento": ("0o755", 0, 0, 0, True),
        "app/bento/a.txt": ("0o644", 0, 0, 0, False),
        "app/bento/b": ("0o755", 0, 0, 0, True),
        "app/bento/b/script": ("0o755", 0, 0, 0, False),
    }


def test_a_link_does_not_get_into_a_layer(tmp_path: Path) -> None:
    root = folder(tmp_path / "one", order=["a.txt", "b/script"])
    (root / "link").symlink_to("/etc/passwd")

    with pytest.raises(ValueError, match="is a link"):
        layer(root, tmp_path / "l.tar.gz")


def test_a_layer_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    content = b"x" * 3_000_000
    made = oci.layer(io.BytesIO(content), tmp_path / "l.tar.gz", "a test")

    assert oci.remembered(tmp_path / "l.tar.gz.json") == made
    assert made.unpacked == len(content)
    assert made.diff_id == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert made.digest == f"sha256:{hashlib.sha256(made.path.read_bytes()).hexdigest()}"


def test_an_archive_holds_every_blob_under_its_digest(tmp_path: Path) -> None:
    layers = [
        oci.layer(io.BytesIO(b"below"), tmp_path / "below.tar.gz", "below"),
        layer(folder(tmp_path / "one", order=["a.txt", "b/script"]), tmp_path / "top.tar.gz"),
    ]

    archive, digest = image(tmp_path, layers)

    manifest = document(archive, digest)
    config = document(archive, manifest["config"]["digest"])
    assert config["config"]["User"] == "1034:1034"
    assert config["rootfs"]["diff_ids"] == [one.diff_id for one in layers]
    for described in [manifest["config"], *manifest["layers"]]:
        content = blob(archive, described["digest"])
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == described["digest"]
        assert len(content) == described["size"]
    with tarfile.open(archive) as tar:
        stream = tar.extractfile("index.json")
        assert stream is not None
        (pointer,) = json.load(stream)["manifests"]
    assert pointer["digest"] == digest
    assert pointer["annotations"] == {"org.opencontainers.image.ref.name": "1.0.0"}


def test_the_same_layers_and_settings_give_the_same_archive(tmp_path: Path) -> None:
    below = oci.layer(io.BytesIO(b"below"), tmp_path / "below.tar.gz", "below")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    first, one = image(tmp_path / "one", [below])
    second, two = image(tmp_path / "two", [below])

    assert one == two
    assert first.read_bytes() == second.read_bytes()
