"""The FastAPI peer of an embedder: the same answer from one thread of the model's own, as ours."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from ci.bench.peers import subject
from ci.bench.peers.fastapi_frame import Served, frame
from services.serving.embedder import Counting, Embedder, write
from services.serving.faults import Fault


def app() -> FastAPI:
    """Build the peer of the model that the environment names."""
    model = subject.model()
    assert isinstance(model, Embedder)
    return build(model)


def build(model: Embedder) -> FastAPI:
    """Build the peer of an embedder."""
    made = frame(model, lambda: Threaded(model), "input")
    asks = request_model(model)

    @made.post(model.route)
    async def embed(asked: asks) -> Response:  # type: ignore[valid-type]
        wanted: Any = asked
        if wanted.model != model.name:
            raise Fault(404, "model_not_found", f"here is {model.name!r} alone", model.remedy)
        served: Threaded = made.state.served
        texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(served.thread, served.session.embed, texts)
        served.count(found)
        answer = write(found, wanted.encoding_format == "base64", served.facts)
        return Response(answer, media_type="application/json")

    return made


class Threaded(Served):
    """A loaded embedder with its thread; counts texts."""

    def __init__(self, model: Embedder) -> None:
        super().__init__(model)
        self.thread = ThreadPoolExecutor(1, "model")
        self.count = Counting(self.metrics)


def request_model(model: Embedder) -> type[BaseModel]:
    """The request as a pydantic model."""
    text: Any = Annotated[str, Field(min_length=1, max_length=model.texts.characters)]
    texts: Any = Annotated[list[text], Field(min_length=1, max_length=model.texts.limit)]
    fields: dict[str, Any] = {
        "model": (str, ...),
        "input": (text | texts, ...),
        "encoding_format": (Literal["float", "base64"], "float"),
        "dimensions": (Literal[model.dimensions] | None, None),
        "user": (str, ""),
    }
    return create_model("Request", __config__=ConfigDict(extra="forbid"), **fields)
