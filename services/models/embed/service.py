"""Embed: sentences in, one vector of 384 numbers for each out, in OpenAI's form."""

from services.models.embed.parameters import DIMENSIONS, TOKENS
from services.serving.embedder import Embedder
from services.serving.service import service

MODEL = Embedder(
    name="embed",
    summary="Turns sentences into vectors that are near each other where they mean alike.",
    dimensions=DIMENSIONS,
    tokens=TOKENS,
)


@service(MODEL)
class Embed:
    """Turns sentences into vectors: POST /v1/embeddings."""
