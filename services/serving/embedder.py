"""An embedder: texts in, a vector of length 1 for each out, in the form of OpenAI's API."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy
import onnxruntime
import orjson
from tokenizers import Tokenizer

from services.models.protocol import EMBEDDINGS, INPUT, Floats
from services.serving import graph, schema
from services.serving.artifact import Artifact
from services.serving.faults import Fault
from services.serving.metrics import Metrics
from services.serving.model import Answer, Facts
from services.serving.texts import Request, Texts
from services.serving.tokens import tokenizer

TURN = 1024
"""Characters after which a request lets others have their turn. One text is never cut."""

SHORT = 256
"""Characters of a query: a single text of at most so many is answered at once, in a few ms,
or 36 at most. To hand it over and back would cost a fifth more (measured on one core)."""

WAIT_S = 8.0
"""Longest wait for an answer. Shorter than Bento's own timeout, whose body is not ours."""

OVERLOADED = Fault(
    429,
    "overloaded",
    f"the model has more to do than {WAIT_S:g} seconds allow",
    "Send it again later, or send fewer texts at a time.",
    headers=((b"retry-after", b"1"),),
)

TOKENS = (4, 8, 16, 32, 64, 128, 256)
"""Buckets of the lengths of texts."""


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """What an embedder's `service.py` declares. Of a text the first ``tokens`` tokens are read."""

    name: str
    summary: str
    dimensions: int
    tokens: int

    @property
    def route(self) -> str:
        """The path that takes POST."""
        return "/v1/embeddings"

    @property
    def texts(self) -> Texts:
        """The contract with callers."""
        return Texts(model=self.name, dimensions=self.dimensions)

    @property
    def remedy(self) -> str:
        """How to send a good request."""
        return self.texts.remedy

    def read(self, content: bytes) -> Request:
        """Check a request's body and return its texts; raises Fault."""
        return self.texts.read(content)

    def open(self, found: Artifact) -> "Session":
        """Load graph and tokenizer; raises ValueError where vectors have another length."""
        words = tokenizer(found.folder / "tokenizer.json", self.tokens)
        session = Session(self, graph.session(found.graph), words)
        (first,) = session.run(Request(["warm up"], base64=False))
        if first.vector.shape != (self.dimensions,):
            raise ValueError(
                f"the graph answers with shape {first.vector.shape}; {self.name} says"
                f" {self.dimensions} dimensions. Make service.py agree with the model."
            )
        return session

    def schemas(self) -> dict[str, Any]:
        """OpenAPI schemas of a request and its answer."""
        count, number = {"type": "integer", "minimum": 0}, {"type": "number"}
        vector = schema.array(number, self.dimensions, self.dimensions)
        most = self.texts.limit
        return {
            "Request": self.texts.schema(),
            "Answer": schema.obj(
                {
                    "object": {"type": "string", "enum": ["list"]},
                    "data": schema.array(schema.reference("Embedding"), 1, most),
                    "model": {"type": "string", "enum": [self.name]},
                    "usage": schema.obj({"prompt_tokens": count, "total_tokens": count}),
                    "modelyard": schema.obj(
                        {
                            **schema.facts()["properties"],
                            "truncated": schema.array(count, 0, most),
                        }
                    ),
                }
            ),
            "Embedding": schema.obj(
                {
                    "object": {"type": "string", "enum": ["embedding"]},
                    "index": count,
                    "embedding": {"oneOf": [vector, {"type": "string", "format": "byte"}]},
                }
            ),
        }


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text's vector, how many of its tokens were read, and whether there were more."""

    vector: Floats
    tokens: int
    cut: bool


class Session:
    """An embedder's graph and tokenizer, loaded.

    Each text runs alone: its vector does not depend on its neighbours, nothing is padded, and it
    costs little more than in the best of batches (docs/adr/0016-texts-run-alone.md has figures).
    """

    def __init__(
        self, model: Embedder, opened: onnxruntime.InferenceSession, words: Tokenizer
    ) -> None:
        self._model, self._run = model, opened.run
        self._encode = words.encode_batch_fast  # the only one that lets go of Python's lock

    def run(self, request: Request) -> list[Embedding]:
        """Embed all texts of a request."""
        return self.embed(request.texts)

    def embed(self, texts: list[str]) -> list[Embedding]:
        """Embed texts, one after the other."""
        return [self._embed(text) for text in texts]

    def _embed(self, text: str) -> Embedding:
        (encoding,) = self._encode([text])
        tokens = encoding.ids
        items = numpy.array([tokens], numpy.int64)
        vector = self._run([EMBEDDINGS], {INPUT: items})[0][0]
        return Embedding(vector, len(tokens), bool(encoding.overflowing))

    def answering(self, metrics: Metrics, facts: Facts) -> Answer:
        """Answer queries at once, and all else from a thread of the model's own.

        Requests take turns there, and health is told meanwhile.
        """
        read, thread = self._model.read, ThreadPoolExecutor(1, "model")
        count = Counting(metrics)

        async def answer(content: bytes) -> bytes:
            request = read(content)
            texts = request.texts
            query = len(texts) == 1 and len(texts[0]) <= SHORT
            found = self.embed(texts) if query else await self._by_turns(texts, thread)
            count(found)
            return write(found, request.base64, facts)

        return answer

    async def _by_turns(self, texts: list[str], thread: ThreadPoolExecutor) -> list[Embedding]:
        """Embed in the thread; raises Fault when others have kept it for too long."""
        found, loop = list[Embedding](), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WAIT_S):
                for turn in turns(texts):
                    found += await loop.run_in_executor(thread, self.embed, turn)
        except TimeoutError:
            raise OVERLOADED from None
        return found


class Counting:
    """What Prometheus learns of texts."""

    def __init__(self, metrics: Metrics) -> None:
        self._tokens = metrics.histogram(
            "modelyard_text_tokens", "Tokens of each text that were read.", TOKENS
        )
        self._cut = metrics.counter(
            "modelyard_truncated_texts_total", "Texts of which only the beginning was read."
        )()

    def __call__(self, found: list[Embedding]) -> None:
        """Count the texts of an answered request."""
        for one in found:
            self._tokens.observe(one.tokens)
            if one.cut:
                self._cut.inc()


def turns(texts: list[str]) -> Iterator[list[str]]:
    """Cut a request into turns of about TURN characters."""
    turn, size = list[str](), 0
    for text in texts:
        turn.append(text)
        size += len(text)
        if size >= TURN:
            yield turn
            turn, size = [], 0
    if turn:
        yield turn


def write(found: list[Embedding], base64: bool, facts: Facts) -> bytes:
    """Write the answer; ours beside OpenAI's keys is `modelyard`, which its clients let through."""
    tokens = sum(one.tokens for one in found)
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": b64encode(one.vector.data).decode() if base64 else one.vector,
                }
                for index, one in enumerate(found)
            ],
            "model": facts.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "modelyard": {
                **facts._asdict(),
                "truncated": [index for index, one in enumerate(found) if one.cut],
            },
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
