"""What rows are measured on: the environment, the model in both precisions, requests, two cores."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ci.bench.load import Generator, Target
from ci.bench.rows import Precision, Row
from ci.pipeline import build, engine, oci, pack, prediction, venv
from ci.report import Report
from ci.toolchain import provide
from infra import places
from infra.refusal import Refusal
from services.serving.model import Model

LOCK = places.REPOSITORY / "ci" / "bench" / "requirements.lock"
NEEDED_GIB = 1.0
INSIDE = f"/{pack.INSIDE}"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that a row needs; paths live as long as the stage."""

    model: str
    python: Path
    bento: Path
    settings: dict[str, Any]
    """How the model's image is run."""
    models: dict[Precision, Path]
    """Folders as services.serving.artifact reads them."""
    bodies: list[bytes]
    """Requests with one item each."""
    generator: Generator
    server_cores: str
    scratch: Path
    declared: Model
    """What the service is built from."""

    @property
    def route(self) -> str:
        """The path that takes requests."""
        return self.declared.route

    @property
    def kind(self) -> str:
        """What peers of this kind of model are named by: `classifier`, `embedder`."""
        return type(self.declared).__name__.lower()

    def environment(self, row: Row) -> dict[str, str]:
        """The image's own variables; peers find the repository, the image what is in it."""
        found = dict(entry.split("=", 1) for entry in self.settings["Env"])
        found |= {"HOME": str(self.scratch), "PATH": os.defpath}
        found["BENTOML_HOME"] = str(self.scratch / "bentoml")
        if row.precision:
            found["MODELYARD_MODEL"] = str(self.models[row.precision])
        if row.kind != "image":
            found |= {"PYTHONPATH": str(places.REPOSITORY), "MODELYARD_BENCH_MODEL": self.model}
        return found

    def entrypoint(self, port: int) -> list[str]:
        """The image's own entry point, for the Bento on this machine and a port of 127.0.0.1."""
        replaced = {"0.0.0.0": "127.0.0.1", "3000": str(port), INSIDE: str(self.bento)}  # noqa: S104
        return [replaced.get(word, word) for word in self.settings["Entrypoint"][1:]]

    def target(self, url: str) -> Target:
        """The model's requests, sent to a URL."""
        return Target(url=url, bodies=self.bodies, headers={"Content-Type": "application/json"})


@contextmanager
def staged(model: str, report: Report) -> Iterator[Stage]:
    """Prepare all that rows of a model need; Refusal where two cores are not to be had."""
    server, client = _cores()
    example = prediction.example(model)
    vegeta = provide.ensure_all("closed", ["vegeta"], report)["vegeta"]
    python = venv.ensure("bench", LOCK, NEEDED_GIB, report)
    built = build.build(model, version=None, report=report)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=places.cache()) as folder:
        scratch = Path(folder)
        served = built.bento / "src" / "model"
        yield Stage(
            model=model,
            python=python,
            bento=built.bento,
            settings=oci.settings(built.layout),
            models={"int8": served, "fp32": _float32(model, built, served, scratch)},
            bodies=_singles(example),
            generator=Generator(program=vegeta.file("bin/vegeta"), cores=client, scratch=scratch),
            server_cores=server,
            scratch=scratch,
            declared=import_module(f"services.models.{model}.service").MODEL,
        )


def _float32(model: str, built: build.Built, served: Path, scratch: Path) -> Path:
    """The folder that is served, with the graph from before it was quantized."""
    graph = scratch / "model.onnx"
    graph.symlink_to(built.float32)
    others = [path for path in served.iterdir() if path.name not in ("model.onnx", "model.json")]
    pack.place_model(model, built.version, [graph, *others], scratch / "fp32")
    return scratch / "fp32"


def _singles(example: dict[str, Any]) -> list[bytes]:
    """The example as requests with one item each."""
    (key,) = (key for key, value in example.items() if isinstance(value, list))
    return [json.dumps(example | {key: [item]}).encode() for item in example[key]]


def require_quiet() -> None:
    """Refuse while node containers run: they take CPU time from what is measured."""
    if engine.answers() is None:
        return
    client = engine.client()
    try:
        running = client.containers.list(filters={"label": engine.LABEL})
        names = sorted({one.labels[engine.LABEL] for one in running})
    finally:
        client.close()
    if names:
        raise Refusal(
            "environments that are up",
            ", ".join(names),
            "their nodes take CPU time from what is measured",
            f"Take them down first: {'; '.join(f'.venv/bin/yard down {name}' for name in names)}.",
        )


def _cores() -> tuple[str, str]:
    """A core for the server and one for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Refusal(
            "cores of this machine",
            len(cores),
            "the server and the load that it gets need one each",
            "Run the benchmark on a machine with two cores or more.",
        )
    return str(cores[0]), str(cores[1])
