"""Embed: sentences in, one vector of 384 numbers for each out, in OpenAI's form."""

import bentoml

from services.models.embed.parameters import DIMENSIONS, TOKENS
from services.serving import application
from services.serving.embedder import Embedder
from services.serving.settings import SETTINGS

MODEL = Embedder(
    name="embed",
    summary="Turns sentences into vectors that are near each other where they mean alike.",
    dimensions=DIMENSIONS,
    tokens=TOKENS,
)


@bentoml.service(name=MODEL.name, **SETTINGS)
@bentoml.asgi_app(application.build(MODEL), path="/")
class Embed:
    """Turns sentences into vectors: POST /v1/embeddings."""
