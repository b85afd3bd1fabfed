"""An embedder behind BentoML's own endpoints, as its documentation has them.

As in every row the access log is off; BentoML's metrics and tracing middleware stay.
"""

from typing import Any

import bentoml

from ci.bench.peers import subject
from services.serving import artifact

SETTINGS: dict[str, Any] = {"workers": 1, "logging": {"access": {"enabled": False}}}


class _Model:
    """Graph and tokenizer, loaded when the server starts."""

    def __init__(self) -> None:
        model = subject.model()
        session: Any = model.open(artifact.load(model.name))
        self._embed = session.embed

    def answers(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text."""
        return [one.vector.tolist() for one in self._embed(texts)]


@bentoml.service(name="bento-plain", **SETTINGS)
class Plain:
    """One request, one call of the model."""

    def __init__(self) -> None:
        self._model = _Model()

    @bentoml.api(route="/v1/embeddings")  # type: ignore[untyped-decorator]
    async def embed(self, input: list[str], model: str = "") -> list[list[float]]:  # noqa: A002, ARG002
        """Answer one request; ``model`` is in OpenAI's form and chooses nothing here."""
        return self._model.answers(input)


@bentoml.service(name="bento-batching", **SETTINGS)
class Batching:
    """Requests that wait at the same time go to the model together."""

    def __init__(self) -> None:
        self._model = _Model()

    @bentoml.api(route="/v1/embeddings", batchable=True, max_batch_size=64)  # type: ignore[untyped-decorator]
    async def embed(self, input: list[str]) -> list[list[float]]:  # noqa: A002
        """Answer a batch of requests."""
        return self._model.answers(input)
