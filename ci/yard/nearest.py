"""Embeddings in a terminal: which of the texts that were sent lie near the first one."""

from array import array
from base64 import b64decode
from collections.abc import Sequence
from typing import Any


def texts(body: dict[str, Any]) -> list[str]:
    """The texts of a request for embeddings; none when it is another request."""
    found = body.get("input")
    if isinstance(found, str):
        return [found]
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def vectors(body: dict[str, Any]) -> list[Sequence[float]]:
    """The vectors of an answer, in order; none when it is another answer."""
    return [_numbers(one["embedding"]) for one in body.get("data", ())]


def _numbers(embedding: str | list[float]) -> Sequence[float]:
    return array("f", b64decode(embedding)) if isinstance(embedding, str) else embedding


def ranking(sent: Sequence[str], found: Sequence[Sequence[float]]) -> list[tuple[float, str]]:
    """Cosine of the first text and each other one, the nearest first; vectors have length 1."""
    first, *others = found
    cosines = [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    return sorted(zip(cosines, sent[1:], strict=True), reverse=True)


def lines(sent: Sequence[str], found: Sequence[Sequence[float]]) -> list[str]:
    """What a person wants to see of an answer."""
    if len(sent) == 1:
        begin = ", ".join(f"{number:.4f}" for number in found[0][:4])
        return [f"answer: {len(found[0])} numbers, {begin} ..."]
    nearest = [f"  {cosine:5.2f}  {text}" for cosine, text in ranking(sent, found)]
    return [f"nearest to: {sent[0]}", *nearest]
