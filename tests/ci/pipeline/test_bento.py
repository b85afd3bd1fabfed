from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.pipeline import bento
from infra import places
from infra.refusal import Refusal

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Edit], Path]:
    """Write bentos/digits.yaml anew, in a folder of the test's own, after an edit."""
    original = yaml.safe_load(bento.path("digits").read_text())
    monkeypatch.setattr(bento, "folder", lambda: tmp_path)

    def write(edit: Edit) -> Path:
        edit(original)
        path = tmp_path / "digits.yaml"
        path.write_text(yaml.safe_dump(original))
        return path

    return write


@pytest.mark.parametrize("name", bento.names())
def test_every_committed_file_is_sound(name: str) -> None:
    loaded = bento.load(name)

    assert loaded.service.startswith(f"services.models.{name}.service:")
    assert (places.REPOSITORY / loaded.requirements).is_file()


def test_digits_is_what_the_first_up_ships() -> None:
    assert [name for name in bento.names() if bento.load(name).default] == ["digits"]


CASES: dict[str, tuple[Edit, str, str, str]] = {
    "an unknown key": (lambda d: d.update(colour="blue"), "colour", "blue", "Extra inputs"),
    "a version that is no version": (
        lambda d: d.update(version="latest"), "version", "latest", "match pattern",
    ),
    "no version": (lambda d: d.pop("version"), "version", "", "required"),
    "a service that is no import path": (
        lambda d: d.update(service="digits"), "service", "digits", "match pattern",
    ),
    "a lock that is not there": (
        lambda d: d.update(requirements="nowhere.lock"), "requirements", "nowhere.lock", "exist",
    ),
    "a training parameter of the wrong type": (
        lambda d: d["training"].update(epochs="many"), "training: epochs", "many", "integer",
    ),
    "an unknown training parameter": (
        lambda d: d["training"].update(dropout=0.5), "training: dropout", "0.5", "Extra inputs",
    ),
    "a training parameter out of bounds": (
        lambda d: d["training"].update(epochs=0), "training: epochs", "0", "greater",
    ),
    "an unknown quantization method": (
        lambda d: d["quantization"].update(method="int4"), "quantization", "int4", "int8",
    ),
    "no quantization without a reason": (
        lambda d: d.update(quantization={"method": "none"}), "quantization", "", "required",
    ),
    "an unknown quantization parameter": (
        lambda d: d["quantization"]["parameters"].update(bits=4),
        "quantization.parameters: bits", "4", "Extra inputs",
    ),
    "a range upside down": (
        lambda d: d["quantization"]["parameters"].update(activation_range=[1.0, 0.0]),
        "quantization.parameters", "", "low below high",
    ),
    "an unknown gate": (lambda d: d["gates"].update(beauty=1), "gates.beauty", "1", "Extra inputs"),
    "a ratio over ten": (
        lambda d: d["gates"].update(bytes_ratio_max=97), "gates.bytes_ratio_max", "97", "less than",
    ),
    "no gate on any metric": (
        lambda d: d["gates"].pop("metrics_min"), "gates", "bytes_ratio_max", "how good",
    ),
    "a gate on metrics that names none": (
        lambda d: d["gates"].update(metrics_min={}), "gates.metrics_min", "{}", "at least 1",
    ),
    "a missing comparing gate": (
        lambda d: d["gates"].pop("cpu_ratio_max"), "gates.cpu_ratio_max", "None", "required",
    ),
    "a comparing gate where nothing is compared": (
        lambda d: d.update(quantization={"method": "none", "reason": "it is small enough"}),
        "gates.metrics_drop_max", "0.01", "compares with float32",
    ),
    "an unknown pool": (lambda d: d["serving"].update(pool="tpu"), "serving.pool", "tpu", "'cpu'"),
    "a gpu pool without gpus": (
        lambda d: d["serving"].update(pool="gpu"), "serving", "", "gpus of 1 to 16",
    ),
    "memory without a unit": (
        lambda d: d["serving"]["resources"].update(memory="384"),
        "serving.resources.memory", "384", "match pattern",
    ),
    "fewer replicas than the least": (
        lambda d: d["serving"].update(replicas={"min": 3, "max": 1}),
        "serving.replicas", "", "replicas.min",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "key", "value", "rule"), CASES.values(), ids=CASES)
def test_an_unsound_file_is_refused_with_file_key_value_rule_and_remedy(
    written: Callable[[Edit], Path], edit: Edit, key: str, value: str, rule: str
) -> None:
    path = written(edit)

    with pytest.raises(Refusal) as caught:
        bento.load("digits")

    assert str(path) in caught.value.where
    assert key in caught.value.where
    assert value in repr(caught.value.value)
    assert rule in caught.value.rule
    assert caught.value.remedy.split()[0] in {"Set", "Remove", "Add", "Correct", "Change"}


@pytest.mark.parametrize("name", ["nothing", "../secrets", "Digits", "two-words", "", "a" * 60])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        bento.load(name)

    assert "digits" in caught.value.remedy


def test_a_file_without_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bento.path("digits").read_text()
    monkeypatch.setattr(bento, "folder", lambda: tmp_path)
    (tmp_path / "ghost.yaml").write_text(content)

    with pytest.raises(Refusal, match=r"no service\.py"):
        bento.load("ghost")
