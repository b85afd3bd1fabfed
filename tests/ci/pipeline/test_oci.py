import errno
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


def document(layout: Path, digest: str) -> dict[str, Any]:
    return dict(json.loads(oci.blob(layout, digest).read_text()))


def image(target: Path, layers: list[oci.Layer]) -> str:
    return oci.image(layers, {"User": "1034:1034"}, "1.0.0", target)


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


def test_a_layout_holds_every_blob_under_its_digest(tmp_path: Path) -> None:
    layers = [
        oci.layer(io.BytesIO(b"below"), tmp_path / "below.tar.gz", "below"),
        layer(folder(tmp_path / "one", order=["a.txt", "b/script"]), tmp_path / "top.tar.gz"),
    ]
    layout = tmp_path / "image"

    digest = image(layout, layers)

    manifest = document(layout, digest)
    config = document(layout, manifest["config"]["digest"])
    assert config["config"]["User"] == "1034:1034"
    assert config["rootfs"]["diff_ids"] == [one.diff_id for one in layers]
    for described in [manifest["config"], *manifest["layers"]]:
        content = oci.blob(layout, described["digest"]).read_bytes()
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == described["digest"]
        assert len(content) == described["size"]
    (pointer,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert pointer["digest"] == digest
    assert pointer["annotations"] == {"org.opencontainers.image.ref.name": "1.0.0"}


def test_images_share_the_bytes_of_their_layers_on_disk(tmp_path: Path) -> None:
    below = oci.layer(io.BytesIO(b"below"), tmp_path / "below.tar.gz", "below")

    digests = {image(tmp_path / name, [below]) for name in ("one", "two")}

    assert len(digests) == 1
    assert below.path.stat().st_nlink == 3


def test_a_layer_of_another_file_system_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    below = oci.layer(io.BytesIO(b"below"), tmp_path / "below.tar.gz", "below")
    monkeypatch.setattr(Path, "hardlink_to", refuse)

    image(tmp_path / "image", [below])

    copied = oci.blob(tmp_path / "image", below.digest)
    assert copied.read_bytes() == below.path.read_bytes()
    assert below.path.stat().st_nlink == 1
