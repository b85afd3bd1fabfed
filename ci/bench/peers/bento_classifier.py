"""The same model behind BentoML's own endpoints, as its documentation has them.

As in every row the access log is off. BentoML's metrics and tracing middleware stay: they are its
own duties, as the hot route's are ours.
"""

from dataclasses import asdict
from typing import Any

import bentoml

from ci.bench.peers import subject
from services.models.protocol import Floats
from services.serving import artifact

SETTINGS: dict[str, Any] = {"workers": 1, "logging": {"access": {"enabled": False}}}


class _Model:
    """The graph, loaded when the server starts."""

    def __init__(self) -> None:
        model = subject.model()
        self._run = model.open(artifact.load(model.name)).run

    def answers(self, items: Floats) -> list[dict[str, Any]]:
        """Label and probability of each item."""
        return [asdict(one) for one in self._run(items)]


@bentoml.service(name="bento-plain", **SETTINGS)
class Plain:
    """One request, one call of the model."""

    def __init__(self) -> None:
        self._model = _Model()

    @bentoml.api(route="/v1/predict")  # type: ignore[untyped-decorator]
    async def predict(self, images: Floats) -> list[dict[str, Any]]:
        """Answer one request."""
        return self._model.answers(images)


@bentoml.service(name="bento-batching", **SETTINGS)
class Batching:
    """Requests that wait at the same time go to the model together."""

    def __init__(self) -> None:
        self._model = _Model()

    @bentoml.api(route="/v1/predict", batchable=True, max_batch_size=64)  # type: ignore[untyped-decorator]
    async def predict(self, images: Floats) -> list[dict[str, Any]]:
        """Answer a batch of requests."""
        return self._model.answers(images)
