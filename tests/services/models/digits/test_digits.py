"""Digits' declaration, its example and its parameters agree with each other."""

import json

import pytest
from pydantic import ValidationError

from ci.pipeline import bento
from services.models.digits.parameters import Quantization
from services.models.digits.service import MODEL

FOLDER = bento.sources("digits")


def test_the_example_is_a_good_request_with_one_picture_of_each_digit() -> None:
    items = MODEL.items.read((FOLDER / "example.json").read_bytes())
    labels = json.loads((FOLDER / "example-labels.json").read_text())

    assert items.shape == (len(labels), 8, 8)
    assert labels == list(MODEL.labels)


def test_the_contract_is_1_to_64_pictures_of_8_x_8_numbers_from_0_to_16() -> None:
    items = MODEL.items

    assert (items.key, items.shape, items.low, items.high, items.limit) == (
        "images", (8, 8), 0, 16, 64,
    )  # fmt: skip


@pytest.mark.parametrize("span", [(1.0, 0.0), (1.0, 1.0)])
def test_an_activation_range_has_its_low_end_first(span: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="low below high"):
        Quantization(calibration_items=100, activation_range=span)
