"""The image that is really built: what is in it, and what is not."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.pipeline import bento, build, oci, pack, training
from ci.report import silent
from infra import places
from infra.refusal import Refusal

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def built() -> build.Built:
    """digits in its committed version, made now or found in the cache."""
    return build.build("digits", version=None, report=silent)


@pytest.fixture(scope="module")
def config(built: build.Built) -> dict[str, Any]:
    """The image's configuration."""
    manifest = json.loads(blob(built, built.digest))
    return dict(json.loads(blob(built, manifest["config"]["digest"])))


@pytest.fixture(scope="module")
def files(built: build.Built) -> dict[str, tarfile.TarInfo]:
    """Every file of every layer by its path."""
    found: dict[str, tarfile.TarInfo] = {}
    for entry, _ in entries(built):
        found[entry.name.removeprefix("./")] = entry
    return found


def blob(built: build.Built, digest: str) -> bytes:
    return oci.blob(built.layout, digest).read_bytes()


def entries(built: build.Built) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Every entry of every layer, with the tar that has its content."""
    for layer in json.loads(blob(built, built.digest))["layers"]:
        with tarfile.open(oci.blob(built.layout, layer["digest"])) as content:
            for entry in content:
                yield entry, content


def test_digits_is_at_least_97_percent_accurate_as_int8(built: build.Built) -> None:
    evaluation = built.report["evaluation"]

    assert evaluation["held_out"] == 450
    assert evaluation["served"]["metrics"]["accuracy"] >= 0.97
    assert evaluation["served"]["weights"] != evaluation["float32"]["weights"]
    assert evaluation["served"]["bytes"] < evaluation["float32"]["bytes"] / 2
    assert set(evaluation["cpu_seconds"]) == {"1", "32"}


def test_the_image_holds_no_torch_no_compiler_and_no_installer(
    files: dict[str, tarfile.TarInfo],
) -> None:
    programs = {Path(name).name for name in files if Path(name).parent.name in ("bin", "sbin")}
    packages = {Path(name).name for name in files if Path(name).parent.name == "dist-packages"}

    assert {"python3", "sh"} <= programs
    assert not programs & {"gcc", "cc", "g++", "clang", "ld", "as", "make", "uv", "git"}
    assert {"onnxruntime", "bentoml", "uvloop"} <= packages
    assert not packages & {"torch", "sklearn", "skl2onnx", "onnxscript", "onnx", "triton"}


def test_the_image_trusts_what_debian_ships_and_nobody_else(built: build.Built) -> None:
    shipped: set[bytes] = set()
    bundle = b""
    for entry, content in entries(built):
        name = entry.name.removeprefix("./")
        if not name.endswith(".crt") or not entry.isfile():
            continue
        stream = content.extractfile(entry)
        assert stream is not None
        if name.startswith("usr/share/ca-certificates/mozilla/"):
            shipped |= certificates(stream.read())
        elif name == "etc/ssl/certs/ca-certificates.crt":
            bundle = stream.read()

    assert len(shipped) > 100
    assert certificates(bundle) <= shipped


def certificates(content: bytes) -> set[bytes]:
    """The certificates of a PEM file."""
    return {part.strip() for part in content.split(b"-----END CERTIFICATE-----") if part.strip()}


def test_the_image_runs_as_a_number_and_writes_below_tmp_only(config: dict[str, Any]) -> None:
    settings = config["config"]
    environment = dict(one.split("=", 1) for one in settings["Env"])

    assert settings["User"] == "1034:1034"
    assert environment["HOME"] == "/tmp"
    assert environment["BENTOML_HOME"].startswith("/tmp/")
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert list(settings["ExposedPorts"]) == ["3000/tcp"]
    assert not [name for name in environment if "INDEX" in name or "PROXY" in name.upper()]


def test_nobody_but_root_may_change_a_file_of_the_service(
    files: dict[str, tarfile.TarInfo],
) -> None:
    service = [entry for name, entry in files.items() if name.startswith("app/")]

    assert len(service) > 20
    assert {(entry.uid, entry.gid) for entry in service} == {(0, 0)}
    assert [entry.name for entry in service if entry.mode & 0o022] == []


def test_the_image_is_small_and_says_how_small(built: build.Built) -> None:
    told = built.report["image"]

    blobs = sum(path.stat().st_size for path in built.layout.rglob("*") if path.is_file())
    assert blobs < 160_000_000
    assert told["compressed_mb"] <= 160
    assert told["unpacked_mb"] > told["compressed_mb"]


def test_packing_the_same_again_gives_the_same_digest(built: build.Built, tmp_path: Path) -> None:
    loaded = bento.load("digits")
    name, version = built.bento_tag.split(":")
    model = [built.layout.parent / "bento" / "src" / "model" / "model.onnx"]
    labels = {
        "dev.modelyard.model": name,
        "dev.modelyard.version": version,
        "dev.modelyard.data": built.report["data"],
        "dev.modelyard.weights": built.report["trained_weights"],
    }

    pack.image(name, loaded, version, model, labels, tmp_path, silent)

    again = json.loads((tmp_path / pack.FACTS).read_text())
    assert again["digest"] == built.digest


def test_another_version_is_another_digest_upon_the_same_layers(built: build.Built) -> None:
    other = build.build("digits", version="999.0.0", report=silent)

    assert other.digest != built.digest
    mine, theirs = built.report["image"]["layers"], other.report["image"]["layers"]
    assert mine[:2] == theirs[:2]
    assert mine[2] != theirs[2]
    assert mine[2]["bytes"] < 1_000_000
    shared = [oci.blob(one.layout, mine[0]["digest"]).stat().st_ino for one in (built, other)]
    assert shared[0] == shared[1]


def test_two_trainings_give_the_same_weights(tmp_path: Path) -> None:
    parameters = {**bento.load("digits").training, "epochs": 2}
    graphs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        job = ["train", "digits", "--parameters", json.dumps(parameters), "--into", str(folder)]
        training.run(job, silent)
        graphs.append((json.loads((folder / "trained.json").read_text()), (folder / "graph.onnx")))

    (first, one), (second, two) = graphs
    assert first == second
    assert one.read_bytes() == two.read_bytes()
    assert str(places.REPOSITORY).encode() not in one.read_bytes()


def test_a_broken_quantization_is_refused(
    built: build.Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load(bento.path("digits").read_text())
    document["quantization"]["parameters"]["activation_range"] = [0.0, 0.001]
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr(bento, "folder", lambda: tmp_path)

    with pytest.raises(Refusal, match=r"the gate is missed: accuracy.*float32: 0\.9") as caught:
        build.build("digits", version=None, report=silent)

    assert caught.value.where == f"{tmp_path}/digits.yaml: gates.metrics_min.accuracy"
