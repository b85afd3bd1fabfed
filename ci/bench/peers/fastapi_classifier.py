"""The FastAPI peer of a classifier; tests/ci/bench/test_fastapi_peer.py names what it lacks."""

from collections import Counter
from typing import Annotated, Any

import numpy
import orjson
from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from ci.bench.peers import subject
from ci.bench.peers.fastapi_frame import Served, frame
from services.serving.classifier import Classifier
from services.serving.items import Items


def app() -> FastAPI:
    """Build the peer of the model that the environment names."""
    model = subject.model()
    assert isinstance(model, Classifier)
    return build(model)


def build(model: Classifier) -> FastAPI:
    """Build the peer of a classifier."""
    made = frame(model, lambda: Counted(model), model.items.key)
    asks, key = request_model(model.items), model.items.key

    @made.post(model.route)
    async def predict(asked: asks) -> Response:  # type: ignore[valid-type]
        served: Counted = made.state.served
        predictions = served.session.run(numpy.array(getattr(asked, key), numpy.float32))
        for label, number in Counter(one.label for one in predictions).items():
            served.count(label=label).inc(number)
        answer = {"predictions": predictions, "model": served.facts._asdict()}
        return Response(orjson.dumps(answer), media_type="application/json")

    return made


class Counted(Served):
    """A loaded classifier; counts its predictions."""

    def __init__(self, model: Classifier) -> None:
        super().__init__(model)
        self.count = self.metrics.counter(
            "modelyard_predictions_total", "Predicted items by label.", "label"
        )


def request_model(items: Items) -> type[BaseModel]:
    """The request as a pydantic model; only for items with one bound for all columns."""
    inner: Any = Annotated[float, Field(strict=True, ge=items.low, le=items.high)]
    inner = Annotated[inner, Field(allow_inf_nan=False)]
    for length in reversed(items.shape):
        inner = Annotated[list[inner], Field(min_length=length, max_length=length)]
    inner = Annotated[list[inner], Field(min_length=1, max_length=items.limit)]
    closed = ConfigDict(extra="forbid")
    fields: dict[str, Any] = {items.key: (inner, ...)}
    return create_model("Request", __config__=closed, **fields)
