"""What a model's folder has to offer, so that one pipeline can make every model.

The pipeline calls these functions in the training environment (torch, scikit-learn, ONNX Runtime).
The modules may import those freely, except `parameters` and `service`: these two are also imported
where no training library is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy
from numpy.typing import NDArray
from pydantic import BaseModel

Progress = Callable[[str, int, int], None]
"""Told (what happens now, units done, units in all)."""

Floats = NDArray[numpy.float32]
Labels = NDArray[numpy.int64]

INPUT = "items"
"""Name of the graph's only input: float32, first dimension free."""

OUTPUT = "probabilities"
"""Name of the graph's output: float32, one row per item, one column per class."""


class Parameters(BaseModel, extra="forbid", frozen=True):
    """What `bentos/NAME.yaml` may set. No unknown keys, no changes after load."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Items and the index of each one's class, in the same order."""

    items: Floats
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Data:
    """Train split, and a held-out split that nothing but the evaluation sees."""

    train: Split
    held_out: Split


class DataModule(Protocol):
    """`data.py`."""

    def load(self) -> Data:
        """Load both splits, the same ones each time."""


class ParametersModule(Protocol):
    """`parameters.py`."""

    Training: type[Parameters]
    Quantization: type[Parameters]
    """Only needed where quantize.py is."""


class TrainModule(Protocol):
    """`train.py`."""

    def train(self, data: Data, parameters: Any, graph: Path, progress: Progress) -> None:
        """Train on ``data.train`` and write the float32 ONNX graph. Deterministic from its seed."""


class QuantizeModule(Protocol):
    """`quantize.py`, absent where `bentos/NAME.yaml` says `quantization: {method: none, ...}`."""

    def quantize(self, data: Data, parameters: Any, graph: Path, quantized: Path) -> None:
        """Calibrate on ``data.train`` and write the int8 graph."""


class EvaluateModule(Protocol):
    """`evaluate.py`."""

    def evaluate(self, probabilities: Floats, labels: Labels) -> dict[str, float]:
        """Compute the metrics that gates may name; `accuracy` is among them."""
