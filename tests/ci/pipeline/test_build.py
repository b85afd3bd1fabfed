import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.pipeline import bento, build, pack, training
from ci.report import silent
from infra.refusal import Refusal

DIGEST = "sha256:" + "a" * 64


class Workshop:
    """Stands for training and packing: writes what they would write, and counts."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.accuracy = 0.99
        self.compressed = 100_000_000

    def train(self, job: list[str], report: object) -> None:
        """What services/models/make.py does."""
        self.jobs.append(job[0])
        target = Path(job[job.index("--into") + 1])
        if job[0] == "train":
            (target / "graph.onnx").write_text(job[job.index("--parameters") + 1])
            facts = {"data": "sha256:d", "weights": "sha256:w"}
            (target / "trained.json").write_text(json.dumps(facts))
            return
        (target / "model.onnx").write_text(str(job))
        evaluation = {
            "float32": {"metrics": {"accuracy": 0.99}, "bytes": 400},
            "served": {"metrics": {"accuracy": self.accuracy}, "bytes": 100},
            "cpu_seconds": {"32": {"ratio": 0.5}},
        }
        (target / "evaluation.json").write_text(json.dumps(evaluation))

    def pack(
        self, name: str, loaded: object, version: str, model: list[Path], labels: object,
        folder: Path, report: object,
    ) -> None:  # fmt: skip
        """What ci.pipeline.pack does."""
        self.jobs.append("pack")
        (folder / pack.LAYOUT).mkdir()
        facts = {
            "digest": DIGEST,
            "tag": f"{name}:{version}",
            "compressed": self.compressed,
            "unpacked": 3 * self.compressed,
            "layers": [],
        }
        (folder / pack.FACTS).write_text(json.dumps(facts))


@pytest.fixture(autouse=True)
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A cache of the test's own, and a workshop that does nothing for real."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Workshop()
    monkeypatch.setattr(training, "run", made.train)
    monkeypatch.setattr(pack, "image", made.pack)
    return made


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, Any], None]:
    """Change one parameter of digits' file, in a copy."""
    document = yaml.safe_load(bento.path("digits").read_text())
    folder = tmp_path / "bentos"
    folder.mkdir()

    def change(part: str, key: str, value: Any) -> None:
        where = document["quantization"]["parameters"] if part == "quantization" else document[part]
        where[key] = value
        (folder / "digits.yaml").write_text(yaml.safe_dump(document))
        monkeypatch.setattr(bento, "folder", lambda: folder)

    return change


def digits(version: str | None = None) -> build.Built:
    return build.build("digits", version=version, report=silent)


def test_a_second_build_of_the_same_makes_nothing(workshop: Workshop) -> None:
    first = digits()
    assert workshop.jobs == ["train", "finish", "pack"]

    second = digits()

    assert workshop.jobs == ["train", "finish", "pack"]
    assert first == second
    assert first.report_digest == second.report_digest


def test_another_version_is_packed_and_not_trained_again(workshop: Workshop) -> None:
    first = digits()
    second = digits("1.0.1")

    assert workshop.jobs == ["train", "finish", "pack", "pack"]
    assert (first.version, second.version) == (bento.load("digits").version, "1.0.1")
    assert first.layout != second.layout


def test_another_quantization_is_not_trained_again(
    workshop: Workshop, edit: Callable[[str, str, Any], None]
) -> None:
    digits()
    edit("quantization", "calibration_items", 100)
    digits()

    assert workshop.jobs == ["train", "finish", "pack", "finish", "pack"]


def test_another_seed_makes_everything_anew(
    workshop: Workshop, edit: Callable[[str, str, Any], None]
) -> None:
    digits()
    edit("training", "seed", 8)
    digits()

    assert workshop.jobs == ["train", "finish", "pack"] * 2


def test_other_gates_make_nothing_anew(
    workshop: Workshop, edit: Callable[[str, str, Any], None]
) -> None:
    digits()
    edit("gates", "metrics_min", {"accuracy": 0.9})
    digits()

    assert workshop.jobs == ["train", "finish", "pack"]


def test_a_model_that_misses_a_gate_is_not_packed(workshop: Workshop) -> None:
    workshop.accuracy = 0.1

    with pytest.raises(Refusal, match="the gate is missed: accuracy"):
        digits()

    assert "pack" not in workshop.jobs


def test_an_image_that_is_too_large_is_refused(workshop: Workshop) -> None:
    workshop.compressed = 161_000_000

    with pytest.raises(Refusal, match=r"megabytes of the image, compressed is 161\.0000"):
        digits()


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "latest", "1.0.0-rc1", "1.0.0\n"])
def test_a_version_is_three_numbers(workshop: Workshop, version: str) -> None:
    with pytest.raises(Refusal) as caught:
        digits(version)

    assert caught.value.value == version
    assert workshop.jobs == []


def test_the_report_tells_all_that_the_gates_saw(workshop: Workshop) -> None:
    report = digits().report

    assert [gate["key"] for gate in report["gates"]] == [
        "metrics_min.accuracy", "metrics_drop_max.accuracy", "bytes_ratio_max", "cpu_ratio_max",
        "image_mb_max",
    ]  # fmt: skip
    assert all(gate["passed"] for gate in report["gates"])
    assert report["image"]["compressed_mb"] == 100.0
    assert report["image"]["unpacked_mb"] == 300.0
    assert (report["data"], report["trained_weights"]) == ("sha256:d", "sha256:w")


def test_the_report_is_kept_under_the_digest_that_the_release_names(workshop: Workshop) -> None:
    built = digits()
    kept = build.report_path(built.report_digest).read_bytes()

    assert f"sha256:{hashlib.sha256(kept).hexdigest()}" == built.report_digest
    assert json.loads(kept) == built.report


def test_a_release_names_the_registrys_digest_and_the_report(workshop: Workshop) -> None:
    built = digits("2.0.0")
    released = build.release(built, "sha256:" + "b" * 64)

    assert (released.name, released.version) == ("digits", "2.0.0")
    assert released.digest == "sha256:" + "b" * 64
    assert released.report == built.report_digest
    assert released.resources == bento.load("digits").serving.resources
    assert released.weight is None


def test_training_code_does_not_get_into_the_image(workshop: Workshop) -> None:
    packed = {path.name for path in pack.sources("digits", bento.load("digits"))}

    assert {"service.py", "parameters.py", "application.py", "card.md"} <= packed
    assert not packed & {"train.py", "quantize.py", "evaluate.py", "data.py", "make.py"}
