"""Gates: a model that misses one is refused, with the limit, what was measured, and what to do."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ci.pipeline import bento
from ci.pipeline.bento import Bento
from infra.refusal import Refusal

CPU_BATCH = "32"
"""The gate's number of items in a call; services/models/make.py measures it."""

MEGABYTE = 1_000_000

TRAIN = "Train longer, or make the quantization gentler (quantization.parameters)."


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One limit, and what was measured against it."""

    key: str
    limit: float
    bound: Literal["least", "most"]
    value: float
    what: str
    remedy: str

    @property
    def passed(self) -> bool:
        """Whether the limit is kept. NaN keeps none."""
        return self.value >= self.limit if self.bound == "least" else self.value <= self.limit

    def document(self) -> dict[str, Any]:
        """For the report."""
        kept = {key: value for key, value in asdict(self).items() if key not in ("what", "remedy")}
        return kept | {"passed": self.passed}


def model(name: str, loaded: Bento, evaluation: dict[str, Any]) -> list[Gate]:
    """Gates that are known before anything is packed; raises Refusal for an unknown metric."""
    return list(_model(name, loaded, evaluation))


def _model(name: str, loaded: Bento, evaluation: dict[str, Any]) -> Iterator[Gate]:
    metrics = evaluation["served"]["metrics"]
    yield Gate(
        key="accuracy_min",
        limit=loaded.gates.accuracy_min,
        bound="least",
        value=metrics["accuracy"],
        what="accuracy on the held-out split"
        f" (float32: {evaluation['float32']['metrics']['accuracy']:.4f})",
        remedy=TRAIN,
    )
    yield from _compared(loaded, evaluation)
    yield from _further(name, loaded, metrics)


def _compared(loaded: Bento, evaluation: dict[str, Any]) -> Iterator[Gate]:
    """Gates on what quantization gains and costs; a model that is not quantized has none."""
    before, after = evaluation["float32"], evaluation["served"]
    lost = before["metrics"]["accuracy"] - after["metrics"]["accuracy"]
    seconds = evaluation["cpu_seconds"][CPU_BATCH]
    measured = {
        "accuracy_drop_max": (
            lost,
            "accuracy lost by quantization",
            "Calibrate on more items, or remove limits set under quantization.parameters.",
        ),
        "bytes_ratio_max": (
            after["bytes"] / before["bytes"],
            "bytes of the graph to serve, divided by those of float32,",
            "Quantize more kinds of operators, or raise the limit if size does not matter.",
        ),
        "cpu_ratio_max": (
            seconds["ratio"],
            f"CPU time of {CPU_BATCH} items, divided by that of float32,",
            "Serve float32 if int8 is no faster here, or raise the limit.",
        ),
    }
    for key in bento.COMPARING:
        limit = getattr(loaded.gates, key)
        if limit is not None:
            value, what, remedy = measured[key]
            yield Gate(key=key, limit=limit, bound="most", value=value, what=what, remedy=remedy)


def _further(name: str, loaded: Bento, metrics: dict[str, float]) -> Iterator[Gate]:
    gates = loaded.gates
    where = bento.path(name)
    limits: list[tuple[str, Literal["least", "most"], dict[str, float]]] = [
        ("metrics_min", "least", gates.metrics_min),
        ("metrics_max", "most", gates.metrics_max),
    ]
    for key, bound, wanted in limits:
        for metric, limit in wanted.items():
            if metric not in metrics:
                raise Refusal(
                    f"{where}: gates.{key}.{metric}",
                    limit,
                    f"the model's evaluate.py computes no such metric, only {', '.join(metrics)}",
                    f"Remove {metric}, or compute it there.",
                )
            yield Gate(
                key=f"{key}.{metric}",
                limit=limit,
                bound=bound,
                value=metrics[metric],
                what=f"{metric} on the held-out split",
                remedy=TRAIN,
            )


def image(loaded: Bento, compressed: int) -> Gate:
    """The gate that is known when the image is built."""
    return Gate(
        key="image_mb_max",
        limit=loaded.gates.image_mb_max,
        bound="most",
        value=compressed / MEGABYTE,
        what="megabytes of the image, compressed",
        remedy="Take packages out of the lock that `requirements` names.",
    )


def require(name: str, gates: list[Gate]) -> None:
    """Refuse the model at the first gate that it misses."""
    for gate in gates:
        if not gate.passed:
            raise Refusal(
                f"{bento.path(name)}: gates.{gate.key}",
                gate.limit,
                f"the gate is missed: {gate.what} is {gate.value:.4f}, and must be at"
                f" {gate.bound} {gate.limit:g}",
                f"{gate.remedy} Nothing was pushed.",
            )
