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
Items = NDArray[Any]
"""What a model is asked about, one row per item: float32, or int64 for the tokens of texts. A text
that has fewer tokens than the longest ends with zeros."""

INPUT = "items"
"""Name of the graph's only input; its first dimension counts items, and is free."""

PROBABILITIES = "probabilities"
"""Output of a classifier's graph: float32, one row per item, one column per class."""

EMBEDDINGS = "embeddings"
"""Output of an embedder's graph: float32, one row per item, of length 1."""

OUTPUTS = (PROBABILITIES, EMBEDDINGS)
"""A graph has one of these; which one says what kind of model it is."""

FILES = "files"
"""Folder beside a graph for what else the service reads, such as a tokenizer; it is packed, too."""


class Parameters(BaseModel, extra="forbid", frozen=True):
    """What `bentos/NAME.yaml` may set. No unknown keys, no changes after load."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Items and the index of each one's class (or topic), in the same order."""

    items: Items
    labels: Labels

    def calls(self, count: int | None = None) -> list[Items]:
        """What the graph is fed for the first ``count`` items: all at once, or texts one by one."""
        items = self.items[:count]
        if items.dtype.kind != "i":
            return [items]
        return [tokens[numpy.newaxis, tokens != 0] for tokens in items]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Train split, and a held-out split that nothing but the evaluation sees."""

    train: Split
    """Empty where the weights come ready-made."""
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
        """Train on ``data.train`` and write the float32 ONNX graph. Deterministic from its seed.

        What else the service reads goes into the folder FILES, which is there beside the graph.
        """


class QuantizeModule(Protocol):
    """`quantize.py`, absent where `bentos/NAME.yaml` says `quantization: {method: none, ...}`."""

    def quantize(self, data: Data, parameters: Any, graph: Path, quantized: Path) -> None:
        """Write the int8 graph; what has to be calibrated is calibrated on ``data.train``."""


class EvaluateModule(Protocol):
    """`evaluate.py`. Gates may name the metrics of both functions."""

    def evaluate(self, answers: Floats, labels: Labels) -> dict[str, float]:
        """Compute how good one graph's answers about the held-out items are."""

    def compare(self, float32: Floats, served: Floats) -> dict[str, float]:
        """Compute how much the served graph's answers are like float32's. May be left out."""
