"""Pack a finished model: a Bento by `bentoml build`, and the Bento's image.

Why not `bentoml containerize`: its Dockerfile installs the packages anew for each version (28 s),
leaves uv in the image, names the user by a name that `runAsNonRoot` refuses, and never gives the
same bytes twice. Here the Bento is one small layer upon two that all models share, and the same
input has the same digest.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ci.pipeline import bento, oci, packages
from ci.pipeline.bento import Bento
from ci.report import Report
from ci.toolchain import store
from infra import places

USER = "1034:1034"  # numeric: a kubelet cannot tell whether a name is root's
INSIDE = "app/bento"
SCRATCH = "/var/tmp"  # noqa: S108 - bentoml refuses paths with hidden folders, such as ~/.cache
LAYOUT, BENTO, FACTS = "image", "bento", "image.json"
TRAINING_ONLY = {"data.py", "train.py", "quantize.py", "evaluate.py"}


class PackError(Exception):
    """The Bento could not be built; the text ends with what bentoml said."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """An image on disk, and the Bento inside it."""

    layout: Path
    bento: Path
    digest: str
    tag: str
    compressed: int
    unpacked: int
    layers: list[dict[str, Any]]


def image(
    name: str, loaded: Bento, version: str, model: list[Path], labels: dict[str, str], folder: Path,
    report: Report,
) -> None:  # fmt: skip
    """Write `image` (an OCI layout), `image.json` and the Bento itself into ``folder``."""
    below = packages.layers(places.REPOSITORY / loaded.requirements, report)
    report("bentoml build", 2, 3)
    with tempfile.TemporaryDirectory(prefix="modelyard-", dir=SCRATCH) as scratch:
        context, home = Path(scratch) / "context", Path(scratch) / "home"
        _stage(name, loaded, version, model, context)
        tag = _build(version, context, home)
        shutil.copytree(home / "bentos" / name / version, folder / BENTO)
        made = f"Bento {tag}"
        top = oci.folder_layer(folder / BENTO, INSIDE, Path(scratch) / "bento.tar.gz", made)
        layers = [*below, top]
        digest = oci.image(layers, _config(tag, labels), version, folder / LAYOUT)
    facts = {
        "digest": digest,
        "tag": tag,
        "compressed": sum(layer.size for layer in layers),
        "unpacked": sum(layer.unpacked for layer in layers),
        "layers": [{"digest": layer.digest, "bytes": layer.size} for layer in layers],
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def packed(entry: store.Entry) -> Packed:
    """Read what :func:`image` wrote."""
    facts = json.loads(entry.file(FACTS).read_text())
    return Packed(layout=entry.path / LAYOUT, bento=entry.path / BENTO, **facts)


def sources(name: str, loaded: Bento) -> list[Path]:
    """Every file of the repository that gets into the image, for its content key."""
    services = places.REPOSITORY / "services"
    own = [path for path in bento.sources(name).rglob("*") if path.name not in TRAINING_ONLY]
    shared = (services / "serving").glob("*.py")
    packages_of = [services / "__init__.py"]
    packages_of += [services / "models" / part for part in ("__init__.py", "protocol.py")]
    lock = places.REPOSITORY / loaded.requirements
    found = [path for path in [*own, *shared] if path.suffix in (".py", ".md", ".json")]
    return sorted([*found, *packages_of, lock])


def _stage(name: str, loaded: Bento, version: str, model: list[Path], context: Path) -> None:
    """Lay out what the Bento is built of: the service's code, the model, and no training code."""
    for path in sources(name, loaded):
        target = context / path.relative_to(places.REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    place_model(name, version, model, context / "model")
    document = {
        "name": name,
        "service": loaded.service,
        "description": f"file:./services/models/{name}/card.md",
        "include": ["**"],
        # Already locked, with hashes; BentoML's own locking would drop these and ask an index.
        "python": {"requirements_txt": f"./{loaded.requirements}", "lock_packages": False},
    }
    (context / "bentofile.yaml").write_text(yaml.safe_dump(document))


def place_model(name: str, version: str, files: list[Path], folder: Path) -> None:
    """Write a model's folder as services.serving.artifact reads it."""
    folder.mkdir()
    for path in files:
        shutil.copyfile(path, folder / path.name)
    digests = {path.name: store.sha256(path) for path in files}
    facts = {"name": name, "version": version, "files": digests}
    (folder / "model.json").write_text(json.dumps(facts, indent=1) + "\n")


def _build(version: str, context: Path, home: Path) -> str:
    home.mkdir()
    clean = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, "--output", "tag"]
    done = subprocess.run(
        command, cwd=context, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    found = re.search(r"^__tag__:(\S+)$", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        said = (done.stdout + done.stderr)[-3000:]
        raise PackError(f"{' '.join(command)} failed with {done.returncode}:\n{said}")
    name = found[1].split(":")[0]
    _without_time(home / "bentos" / name / version / "bento.yaml")
    return found[1]


def _without_time(path: Path) -> None:
    """The same model packed twice is the same image, so that it does not matter who packed it."""
    text, changed = re.subn(
        r"^creation_time: .*$",
        "creation_time: '1970-01-01T00:00:00.000000+00:00'",
        path.read_text(),
        flags=re.MULTILINE,
    )
    if changed != 1:
        raise PackError(f"{path} has {changed} lines with creation_time; BentoML has changed.")
    path.write_text(text)


def _config(tag: str, labels: dict[str, str]) -> dict[str, Any]:
    serve = ["python3", "-m", "bentoml", "serve", "--host", "0.0.0.0", "--port", "3000"]  # noqa: S104
    return {
        "User": USER,
        "WorkingDir": f"/{INSIDE}",
        "Entrypoint": [*serve, "--timeout-graceful-shutdown", "20", f"/{INSIDE}"],
        "ExposedPorts": {"3000/tcp": {}},
        "StopSignal": "SIGTERM",
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "LANG=C.UTF-8",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            # The root is read-only: everything that is written goes below /tmp.
            "HOME=/tmp",
            "BENTOML_HOME=/tmp/bentoml",
            "BENTOML_DO_NOT_TRACK=True",
            "BENTOML_CONTAINERIZED=true",
            "ORT_DISABLE_TELEMETRY=1",
        ],
        "Labels": {"org.opencontainers.image.title": tag, **labels},
    }
