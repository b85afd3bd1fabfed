from typing import Any

import pytest

from ci.pipeline import bento, gates
from ci.pipeline.bento import Bento
from infra.refusal import Refusal


@pytest.fixture
def loaded() -> Bento:
    return bento.load("digits")


def evaluation(**changes: float) -> dict[str, Any]:
    """What services/models/make.py measures of a good int8 model, with changes."""
    measured = {"accuracy": 0.99, "before": 0.99, "bytes": 100, "ratio": 0.5, **changes}
    return {
        "float32": {"metrics": {"accuracy": measured["before"]}, "bytes": 400},
        "served": {"metrics": {"accuracy": measured["accuracy"]}, "bytes": measured["bytes"]},
        "cpu_seconds": {gates.CPU_BATCH: {"ratio": measured["ratio"]}},
    }


def test_a_good_model_passes_every_gate(loaded: Bento) -> None:
    passed = gates.model("digits", loaded, evaluation())

    gates.require("digits", passed)
    assert [gate.key for gate in passed] == [
        "metrics_min.accuracy", "metrics_drop_max.accuracy", "bytes_ratio_max", "cpu_ratio_max",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "key", "measured"),
    [
        ({"accuracy": 0.9699, "before": 0.97}, "metrics_min.accuracy", "0.9699"),
        ({"accuracy": 0.10, "before": 0.99}, "metrics_min.accuracy", "0.1000"),
        ({"accuracy": float("nan")}, "metrics_min.accuracy", "nan"),
        ({"accuracy": 0.975, "before": 0.99}, "metrics_drop_max.accuracy", "0.0150"),
        ({"bytes": 300}, "bytes_ratio_max", "0.7500"),
        ({"ratio": 1.2}, "cpu_ratio_max", "1.2000"),
    ],
)
def test_a_missed_gate_is_refused_with_limit_measurement_and_remedy(
    loaded: Bento, changes: dict[str, float], key: str, measured: str
) -> None:
    with pytest.raises(Refusal) as caught:
        gates.require("digits", gates.model("digits", loaded, evaluation(**changes)))

    assert caught.value.where == f"{bento.path('digits')}: gates.{key}"
    part, _, metric = key.partition(".")
    limit = getattr(loaded.gates, part)
    assert caught.value.value == (limit[metric] if metric else limit)
    assert "the gate is missed" in caught.value.rule
    assert measured in caught.value.rule
    assert caught.value.remedy.endswith("Nothing was pushed.")


@pytest.mark.parametrize(("size", "passes"), [(160_000_000, True), (160_000_001, False)])
def test_the_image_may_be_as_large_as_its_gate_says(loaded: Bento, size: int, passes: bool) -> None:
    assert gates.image(loaded, size).passed is passes


def test_any_metric_of_the_model_can_have_a_gate(loaded: Bento) -> None:
    measured = evaluation()
    measured["served"]["metrics"] |= {"macro_f1": 0.8, "log_loss": 0.3}
    limits = loaded.gates.model_copy(
        update={
            "metrics_min": {"macro_f1": 0.7},
            "metrics_max": {"log_loss": 0.2},
            "metrics_drop_max": None,
        }
    )

    found = gates.model("digits", loaded.model_copy(update={"gates": limits}), measured)

    assert {gate.key: gate.passed for gate in found[:2]} == {
        "metrics_min.macro_f1": True,
        "metrics_max.log_loss": False,
    }


@pytest.mark.parametrize("key", ["metrics_min", "metrics_max", "metrics_drop_max"])
def test_a_gate_on_a_metric_that_nobody_computes_is_refused(loaded: Bento, key: str) -> None:
    limits = loaded.gates.model_copy(update={key: {"beauty": 0.7}})

    with pytest.raises(Refusal, match=r"only accuracy") as caught:
        gates.model("digits", loaded.model_copy(update={"gates": limits}), evaluation())

    assert f"gates.{key}.beauty" in caught.value.where


def test_a_model_that_is_not_quantized_is_not_compared(loaded: Bento) -> None:
    none = dict.fromkeys(bento.COMPARING)
    limits = loaded.gates.model_copy(update=none)

    found = gates.model("digits", loaded.model_copy(update={"gates": limits}), evaluation())

    assert [gate.key for gate in found] == ["metrics_min.accuracy"]


def test_the_report_keeps_limit_value_and_verdict(loaded: Bento) -> None:
    (first, *_) = gates.model("digits", loaded, evaluation(accuracy=0.98))

    assert first.document() == {
        "key": "metrics_min.accuracy",
        "limit": 0.97,
        "bound": "least",
        "value": 0.98,
        "passed": True,
    }
