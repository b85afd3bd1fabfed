"""The trained model that a service answers with: `model.onnx`, files beside it, `model.json`."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import services

FOLDER = "MODELYARD_MODEL"
"""Environment variable: another folder to take the model from, on a laptop or in a test."""


class ArtifactError(Exception):
    """The model cannot be used; the text says why and what to do. The service does not start."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model on disk whose bytes are the ones that were packed."""

    folder: Path
    name: str
    version: str

    @property
    def graph(self) -> Path:
        """What ONNX Runtime runs."""
        return self.folder / "model.onnx"


def load(name: str) -> Artifact:
    """Find the model, and check that it is this service's, whole, and what was released."""
    folder = Path(os.environ.get(FOLDER) or Path(services.__file__).parent.parent / "model")
    try:
        facts = json.loads((folder / "model.json").read_text())
        damaged = [
            f"{folder / file} is damaged: its sha256 is {digest}. Pack it again."
            for file, packed in facts["files"].items()
            if (digest := hashlib.sha256((folder / file).read_bytes()).hexdigest()) != packed
        ]
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{error.filename} does not exist. `yard ship {name} --to ENV` packs the model with the"
            f" service; elsewhere set {FOLDER} to a folder with model.onnx and model.json."
        ) from None
    if facts["name"] != name:
        raise ArtifactError(f"{folder} holds the model {facts['name']}, not {name}. Pack it again.")
    if damaged:
        raise ArtifactError(damaged[0])
    released = os.environ.get("MODELYARD_MODEL_VERSION", facts["version"])
    if released != facts["version"]:
        raise ArtifactError(
            f"the release says version {released}, the image is {facts['version']}. Release the"
            " digest that belongs to the version: yard ship writes both."
        )
    return Artifact(folder=folder, name=name, version=facts["version"])
