"""Digits: pictures of 8 x 8 pixels in, the digit on each and its probability out."""

from services.serving.classifier import Classifier
from services.serving.items import Items
from services.serving.service import service

MODEL = Classifier(
    name="digits",
    summary="Reads handwritten digits.",
    items=Items(key="images", shape=(8, 8), low=0, high=16, limit=64),
    labels=range(10),
)


@service(MODEL)
class Digits:
    """Reads handwritten digits: POST /v1/predict."""
