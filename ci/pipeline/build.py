"""From a model's code to its image: train, quantize, evaluate, gate, pack; cached by content.

A second call with nothing changed reads a few small files. Another version alone packs anew,
without training.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ci.pipeline import bento, gates, pack, training
from ci.pipeline.bento import Bento, Int8
from ci.pipeline.push import push
from ci.report import Report
from ci.toolchain import store
from infra import places
from infra.models.release import Release
from infra.names import Version
from infra.refusal import Refusal

__all__ = ["Built", "build", "push", "release"]

EVALUATION = "evaluation.json"
"""Of a finished model's files the only one that is not served."""

MADE_OF = {".py", ".txt", ".csv", ".tsv"}
"""Suffixes of what a model is made of: code, and data that stands in its folder."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A model that passed its gates, as an image on this machine."""

    name: str
    version: str
    layout: Path
    """Folder with the image as an OCI layout."""
    digest: str
    bento_tag: str
    bento: Path
    """Folder with the Bento that is in the image."""
    float32: Path
    """The graph before it was quantized."""
    report: dict[str, Any]

    @property
    def report_bytes(self) -> bytes:
        """The gate report as the file that is kept."""
        return json.dumps(self.report, sort_keys=True, indent=1).encode()

    @property
    def report_digest(self) -> str:
        """Digest of the gate report, which the release names."""
        return f"sha256:{hashlib.sha256(self.report_bytes).hexdigest()}"


def build(name: str, *, version: str | None, report: Report) -> Built:
    """Build the model's image; raises Refusal for an unsound file, version, or missed gate."""
    loaded = bento.load(name)
    version = _version(name, version or loaded.version)
    trained = _trained(name, loaded, report)
    finished = _finished(name, loaded, trained, report)
    facts = json.loads(trained.file("trained.json").read_text())
    evaluation = json.loads(finished.file(EVALUATION).read_text())
    passed = gates.model(name, loaded, evaluation)
    gates.require(name, passed)
    packed = _packed(name, loaded, version, finished, facts, report)
    passed.append(gates.image(loaded, packed.compressed))
    gates.require(name, passed)
    document = {
        "model": name,
        "version": version,
        "data": facts["data"],
        "trained_weights": facts["weights"],
        "training": loaded.training,
        "quantization": loaded.quantization.model_dump(mode="json"),
        "evaluation": evaluation,
        "gates": [gate.document() for gate in passed],
        "image": {
            "digest": packed.digest,
            "compressed_mb": round(packed.compressed / gates.MEGABYTE, 2),
            "unpacked_mb": round(packed.unpacked / gates.MEGABYTE, 2),
            "layers": packed.layers,
        },
    }
    built = Built(
        name=name,
        version=version,
        layout=packed.layout,
        digest=packed.digest,
        bento_tag=packed.tag,
        bento=packed.bento,
        float32=trained.file("graph.onnx"),
        report=document,
    )
    _keep(built)
    return built


def report_path(digest: str) -> Path:
    """Where this machine keeps the gate report that a release names by digest."""
    return places.cache() / "reports" / f"{digest.removeprefix('sha256:')}.json"


def _keep(built: Built) -> None:
    path = report_path(built.report_digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(built.report_bytes)


def release(built: Built, digest: str) -> Release:
    """Write down what should run when ``built`` is shipped; ``digest`` is the registry's."""
    serving = bento.load(built.name).serving
    return Release(
        name=built.name,
        version=built.version,
        digest=digest,
        report=built.report_digest,
        resources=serving.resources,
        pool=serving.pool,
        gpus=serving.gpus,
        replicas=serving.replicas,
    )


def _version(name: str, version: str) -> str:
    try:
        return TypeAdapter(Version).validate_python(version)
    except ValidationError:
        raise Refusal(
            f"version of {name}", version, "it must be three numbers", "Set it like 1.2.0."
        ) from None


def _trained(name: str, loaded: Bento, report: Report) -> store.Entry:
    later = {"quantize.py", "evaluate.py", "service.py"}
    own = bento.sources(name).rglob("*")
    code = [path for path in own if path.suffix in MADE_OF and path.name not in later]
    key = _key([*code, *_making(), training.LOCK], loaded.training)
    parameters = json.dumps(loaded.training)

    def make(target: Path) -> None:
        job = ["train", name, "--parameters", parameters, "--into", str(target)]
        training.run(job, report)

    return store.ensure(
        f"{name}.trained", key, version=loaded.version, source=f"services/models/{name}", make=make
    )


def _finished(name: str, loaded: Bento, trained: store.Entry, report: Report) -> store.Entry:
    folder = bento.sources(name)
    quantization = loaded.quantization
    code = [folder / "quantize.py", folder / "evaluate.py"]
    known = {"trained": trained.path.name, "quantization": quantization.model_dump(mode="json")}
    key = _key([path for path in code if path.is_file()], known)

    def make(target: Path) -> None:
        job = ["finish", name, "--trained", str(trained.path), "--into", str(target)]
        if isinstance(quantization, Int8):
            job += ["--parameters", json.dumps(quantization.parameters)]
        training.run(job, report)

    return store.ensure(
        f"{name}.finished", key, version=loaded.version, source=trained.path.name, make=make
    )


def _packed(
    name: str,
    loaded: Bento,
    version: str,
    finished: store.Entry,
    facts: dict[str, str],
    report: Report,
) -> pack.Packed:
    parts = [each for each in finished.files if each != EVALUATION]
    model = [finished.file(each) for each in parts]
    labels = {
        "dev.modelyard.model": name,
        "dev.modelyard.version": version,
        "dev.modelyard.data": facts["data"],
        "dev.modelyard.weights": facts["weights"],
    }
    known = {
        "service": loaded.service,
        "version": version,
        "model": {each: finished.files[each] for each in parts},
        "labels": labels,
    }
    here = Path(__file__).parent
    recipe = [here / f"{part}.py" for part in ("pack", "packages", "oci")]
    key = _key([*pack.sources(name, loaded), *recipe], known)

    def make(target: Path) -> None:
        pack.image(name, loaded, version, model, labels, target, report)

    return pack.packed(
        store.ensure(f"{name}.image", key, version=version, source=finished.path.name, make=make)
    )


def _making() -> list[Path]:
    models = places.REPOSITORY / "services" / "models"
    serving = models.with_name("serving")
    shared = [serving / "graph.py", serving / "tokens.py"]
    return [models / "make.py", models / "protocol.py", *shared]


def _key(files: Iterable[Path], known: dict[str, Any]) -> str:
    """Content key: names and bytes of files, what else is known, and the Python in use."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(places.REPOSITORY)} {store.sha256(path)}\n".encode())
    known = {**known, "python": sys.implementation.cache_tag}
    digest.update(json.dumps(known, sort_keys=True).encode())
    return digest.hexdigest()[:16]
