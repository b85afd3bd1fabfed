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

LEAST: Literal["least"] = "least"
MOST: Literal["most"] = "most"

TRAIN = "Train longer, or make the quantization gentler (quantization.parameters)."
CALIBRATE = "Calibrate on more items, or remove limits set under quantization.parameters."


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
    return [*_metrics(name, loaded, evaluation), *_ratios(loaded, evaluation)]


def _metrics(name: str, loaded: Bento, evaluation: dict[str, Any]) -> Iterator[Gate]:
    """Gates on how good the answers are, and on what quantization took from that."""
    before, after = evaluation["float32"]["metrics"], evaluation["served"]["metrics"]
    gates = loaded.gates
    for key, bound, limits in (
        ("metrics_min", LEAST, gates.metrics_min),
        ("metrics_max", MOST, gates.metrics_max),
    ):
        for metric, limit in (limits or {}).items():
            known = f" (float32: {before[metric]:.4f})" if metric in before else ""
            yield Gate(
                key=f"{key}.{metric}",
                limit=limit,
                bound=bound,
                value=_known(name, f"{key}.{metric}", limit, metric, after),
                what=f"{metric} on the held-out split{known}",
                remedy=TRAIN,
            )
    for metric, limit in (gates.metrics_drop_max or {}).items():
        key = f"metrics_drop_max.{metric}"
        lost = _known(name, key, limit, metric, before) - after[metric]
        what = f"{metric} lost by quantization"
        yield Gate(key=key, limit=limit, bound=MOST, value=lost, what=what, remedy=CALIBRATE)


def _known(name: str, key: str, limit: float, metric: str, metrics: dict[str, float]) -> float:
    if metric in metrics:
        return metrics[metric]
    raise Refusal(
        f"{bento.path(name)}: gates.{key}",
        limit,
        f"the model's evaluate.py computes no such metric, only {', '.join(metrics)}",
        f"Remove {metric}, or compute it there.",
    )


def _ratios(loaded: Bento, evaluation: dict[str, Any]) -> Iterator[Gate]:
    """Gates on what quantization gains; a model that is not quantized has none."""
    before, after = evaluation["float32"], evaluation["served"]
    measured = {
        "bytes_ratio_max": (
            after["bytes"] / before["bytes"],
            "bytes of the graph to serve, divided by those of float32,",
            "Quantize more kinds of operators, or raise the limit if size does not matter.",
        ),
        "cpu_ratio_max": (
            evaluation["cpu_seconds"][CPU_BATCH]["ratio"],
            f"CPU time of {CPU_BATCH} items, divided by that of float32,",
            "Serve float32 if int8 is no faster here, or raise the limit.",
        ),
    }
    for key, (value, what, remedy) in measured.items():
        limit = getattr(loaded.gates, key)
        if limit is not None:
            yield Gate(key=key, limit=limit, bound=MOST, value=value, what=what, remedy=remedy)


def image(loaded: Bento, compressed: int) -> Gate:
    """The gate that is known when the image is built."""
    return Gate(
        key="image_mb_max",
        limit=loaded.gates.image_mb_max,
        bound=MOST,
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
