import json
from pathlib import Path

import pytest

from services.serving import artifact
from services.serving.artifact import FOLDER, ArtifactError
from services.serving.classifier import Classifier
from services.serving.items import Items
from tests.services.serving.conftest import VERSION, write_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return write_model(tmp_path)


def test_a_model_is_loaded_with_its_version(folder: Path) -> None:
    assert artifact.load("tiny").version == VERSION


def test_a_missing_model_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))

    with pytest.raises(ArtifactError, match=r"yard ship tiny --to ENV.*MODELYARD_MODEL"):
        artifact.load("tiny")


def test_a_damaged_model_is_not_served(folder: Path) -> None:
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")

    with pytest.raises(ArtifactError, match="damaged"):
        artifact.load("tiny")


def test_another_models_files_are_not_served(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="holds the model tiny, not digits"):
        artifact.load("digits")


def test_a_release_of_another_version_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_MODEL_VERSION", VERSION)
    assert artifact.load("tiny").version == VERSION
    monkeypatch.setenv("MODELYARD_MODEL_VERSION", "9.9.9")

    with pytest.raises(ArtifactError, match=f"version 9.9.9, the image is {VERSION}"):
        artifact.load("tiny")


def test_labels_must_agree_with_the_graph(folder: Path) -> None:
    classifier = Classifier(
        name="tiny",
        summary="",
        items=Items(key="images", shape=(8, 8), low=0, high=16),
        labels=range(9),
    )

    with pytest.raises(ValueError, match=r"shape \(1, 8\); tiny has 9 labels"):
        classifier.open(artifact.load("tiny"))


def test_the_facts_beside_the_graph_are_what_packing_writes(folder: Path) -> None:
    assert set(json.loads((folder / "model.json").read_text())) == {"name", "version", "files"}
