"""A classifier: items in, the likeliest label of each and its probability out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import onnxruntime
from numpy.typing import NDArray

from services.models.protocol import INPUT, OUTPUT
from services.serving.items import Items

Label = int | str


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """What a model's `service.py` declares. ``labels`` are in the order of classes."""

    name: str
    summary: str
    items: Items
    labels: Sequence[Label]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer about one item."""

    label: Label
    probability: float


class Session:
    """An ONNX graph, ready to answer with one thread: more pods scale better than more threads."""

    def __init__(self, graph: Path, classifier: Classifier) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self._run = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        ).run
        self._labels = classifier.labels
        probabilities = self._run(
            [OUTPUT], {INPUT: numpy.zeros((1, *classifier.items.shape), "f4")}
        )[0]
        if probabilities.shape != (1, len(classifier.labels)):
            raise ValueError(
                f"the graph answers with shape {probabilities.shape}; {classifier.name} has"
                f" {len(classifier.labels)} labels. Make labels in service.py agree with the model."
            )

    def predict(self, items: NDArray[numpy.float32]) -> list[Prediction]:
        """Label and probability of each item."""
        probabilities = self._run([OUTPUT], {INPUT: items})[0]
        best = probabilities.argmax(axis=1)
        sure = probabilities[numpy.arange(len(best)), best]
        return [
            Prediction(self._labels[index], probability)
            for index, probability in zip(best.tolist(), sure.tolist(), strict=True)
        ]
