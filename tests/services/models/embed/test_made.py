"""embed made for real: the graph is BERT, int8 keeps its gates, and the image serves it."""

import json
import subprocess
from pathlib import Path

import numpy
import pytest
import yaml

from ci.pipeline import bento, build, training
from ci.report import silent
from infra import places
from infra.refusal import Refusal
from services.models.embed.service import MODEL
from services.serving import artifact
from services.serving.embedder import Session

pytestmark = pytest.mark.training

TEXTS = ["This is an example sentence", "Where is my parcel?", "word " * 400]


@pytest.fixture(scope="module")
def built() -> build.Built:
    """embed in its committed version, made now or found in the cache."""
    return build.build("embed", version=None, report=silent)


def opened(folder: Path) -> Session:
    """The model in a folder, as the service opens it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(artifact.FOLDER, str(folder))
        return MODEL.open(artifact.load("embed"))


@pytest.fixture(scope="module")
def session(built: build.Built) -> Session:
    """What the image serves."""
    return opened(built.layout.parent / "bento" / "src" / "model")


def test_the_graph_is_what_torch_computes_with_the_published_weights(
    built: build.Built, tmp_path: Path
) -> None:
    job = ["train", "embed", "--parameters", "{}", "--into", str(tmp_path)]
    training.run(job, silent)
    computed = subprocess.run(
        [training.environment(silent), Path(__file__).with_name("reference.py")],
        input=json.dumps(TEXTS), cwd=places.REPOSITORY, env={"PYTHONPATH": "."},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = numpy.array([json.loads(line) for line in computed.stdout.splitlines()])
    (tmp_path / "graph.onnx").rename(tmp_path / "model.onnx")
    (tmp_path / "files" / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    facts = {"name": "embed", "version": "1.0.0", "files": {}}
    (tmp_path / "model.json").write_text(json.dumps(facts))

    found = numpy.array([one.vector for one in opened(tmp_path).embed(TEXTS)])

    numpy.testing.assert_allclose(found, expected, atol=1e-5)
    # As the authors' page shows them for this sentence.
    assert found[0][:3] == pytest.approx([0.0676569, 0.0634959, 0.0487131], abs=1e-5)


def test_int8_keeps_the_retrieval_of_float32(built: build.Built) -> None:
    evaluation = built.report["evaluation"]
    served = evaluation["served"]["metrics"]

    assert evaluation["held_out"] == 160
    assert served["cosine_median"] >= 0.98
    assert served["order_kept"] >= 0.97
    assert served["nearest_kept"] >= 0.9
    assert evaluation["served"]["bytes"] < evaluation["float32"]["bytes"] * 0.3


def test_a_text_has_the_same_vector_alone_and_among_others(session: Session) -> None:
    together = session.embed(TEXTS)

    for text, one in zip(TEXTS, together, strict=True):
        (alone,) = session.embed([text])
        assert numpy.array_equal(alone.vector, one.vector)


def test_vectors_have_length_one_and_256_tokens_are_read_at_most(session: Session) -> None:
    found = session.embed(TEXTS)

    assert [numpy.linalg.norm(one.vector) for one in found] == pytest.approx([1, 1, 1])
    assert [one.cut for one in found] == [False, False, True]
    assert found[2].tokens == MODEL.tokens


def test_a_coarse_quantization_is_refused(
    built: build.Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load(bento.path("embed").read_text())
    document["quantization"]["parameters"]["per_channel"] = False
    (tmp_path / "embed.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr(bento, "folder", lambda: tmp_path)

    with pytest.raises(Refusal, match=r"the gate is missed: cosine_median"):
        build.build("embed", version=None, report=silent)


def test_the_image_holds_the_tokenizer_and_not_the_published_weights(built: build.Built) -> None:
    folder = built.layout.parent / "bento" / "src"
    names = {path.name for path in folder.rglob("*") if path.is_file()}

    assert {"model.onnx", "tokenizer.json", "model.json", "service.py"} <= names
    assert not names & {"model.safetensors", "graph.onnx", "sentences.txt", "train.py"}
    assert built.report["image"]["compressed_mb"] <= 160
