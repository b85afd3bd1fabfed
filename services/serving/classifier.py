"""A classifier: items in, the likeliest label of each and its probability out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import onnxruntime
import orjson

from services.models.protocol import INPUT, PROBABILITIES, Floats
from services.serving import graph, schema
from services.serving.artifact import Artifact
from services.serving.items import Items
from services.serving.metrics import Metrics
from services.serving.model import Answer, Facts

Label = int | str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer about one item."""

    label: Label
    probability: float


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """What a classifier's `service.py` declares. ``labels`` are in the order of classes."""

    name: str
    summary: str
    items: Items
    labels: Sequence[Label]

    @property
    def route(self) -> str:
        """The path that takes POST."""
        return "/v1/predict"

    @property
    def remedy(self) -> str:
        """How to send a good request."""
        return self.items.remedy

    def read(self, content: bytes) -> Floats:
        """Check a request's body and return its items; raises Fault."""
        return self.items.read(content)

    def open(self, found: Artifact) -> "Session":
        """Load the graph; raises ValueError where it has another number of classes."""
        session = Session(self, graph.session(found.graph))
        nothing = numpy.zeros((1, *self.items.shape), numpy.float32)
        shape = session.probabilities(nothing).shape
        if shape != (1, len(self.labels)):
            raise ValueError(
                f"the graph answers with shape {shape}; {self.name} has {len(self.labels)}"
                " labels. Make labels in service.py agree with the model."
            )
        return session

    def schemas(self) -> dict[str, Any]:
        """OpenAPI schemas of a request and its answer."""
        kind = "integer" if all(isinstance(label, int) for label in self.labels) else "string"
        items = self.items
        return {
            "Request": schema.obj({items.key: schema.array(items.schema(), 1, items.limit)}),
            "Answer": schema.obj(
                {
                    "predictions": schema.array(schema.reference("Prediction"), 1, items.limit),
                    "model": schema.facts(),
                }
            ),
            "Prediction": schema.obj(
                {
                    "label": {"type": kind, "enum": list(self.labels)},
                    "probability": {"type": "number", "minimum": 0, "maximum": 1},
                }
            ),
        }


class Session:
    """A classifier's graph, loaded."""

    def __init__(self, model: Classifier, opened: onnxruntime.InferenceSession) -> None:
        self._model, self._run = model, opened.run

    def probabilities(self, items: Floats) -> Floats:
        """One row per item, one column per class."""
        found: Floats = self._run([PROBABILITIES], {INPUT: items})[0]
        return found

    def run(self, request: Floats) -> list[Prediction]:
        """Label and probability of each item."""
        probabilities = self.probabilities(request)
        best = probabilities.argmax(axis=1)
        sure = probabilities[numpy.arange(len(best)), best]
        labels = self._model.labels
        return [
            Prediction(labels[index], probability)
            for index, probability in zip(best.tolist(), sure.tolist(), strict=True)
        ]

    def answering(self, metrics: Metrics, facts: Facts) -> Answer:
        """Answer in this thread: a small model takes less time than handing over to another."""
        count = metrics.counter("modelyard_predictions_total", "Predicted items by label.", "label")
        read, run, model = self._model.read, self.run, facts._asdict()

        async def answer(content: bytes) -> bytes:
            predictions = run(read(content))
            for label, number in Counter(one.label for one in predictions).items():
                count(label=label).inc(number)
            return orjson.dumps({"predictions": predictions, "model": model})

        return answer
