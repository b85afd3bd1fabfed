"""Digits: pictures of 8 x 8 pixels in, the digit on each and its probability out."""

import bentoml

from services.serving import application
from services.serving.classifier import Classifier
from services.serving.items import Items
from services.serving.settings import SETTINGS

MODEL = Classifier(
    name="digits",
    summary="Reads handwritten digits.",
    items=Items(key="images", shape=(8, 8), low=0, high=16, limit=64),
    labels=range(10),
)


@bentoml.service(name=MODEL.name, **SETTINGS)
@bentoml.asgi_app(application.build(MODEL), path="/")
class Digits:
    """Reads handwritten digits: POST /v1/predict."""
