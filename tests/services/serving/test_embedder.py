"""The embeddings route with a tiny model: each word has a vector, a text has its words' mean."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy
import onnx
import openai
import pytest
from onnx import TensorProto, helper, numpy_helper
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from tokenizers import Tokenizer, models, pre_tokenizers

from services.models.protocol import EMBEDDINGS, INPUT
from services.serving import artifact, embedder
from services.serving.artifact import FOLDER
from services.serving.embedder import Embedder, turns
from tests.services.serving.conftest import DIGEST, VERSION, serving, write_model

ROUTE = "/v1/embeddings"
WORDS = ("unknown", "north", "south", "east", "west")
VECTORS = numpy.array([[0, 0, 1], [0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0]], numpy.float32)
MODEL = Embedder(name="tiny", summary="Says where a text leads.", dimensions=3, tokens=8)


def graph() -> bytes:
    """The mean of the tokens' vectors, made 1 long."""
    nodes = [
        helper.make_node("Gather", ["vectors", INPUT], ["rows"]),
        helper.make_node("ReduceMean", ["rows", "axes"], ["mean"], keepdims=0),
        helper.make_node("LpNormalization", ["mean"], [EMBEDDINGS], axis=-1, p=2),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["n", "length"])],
        [helper.make_tensor_value_info(EMBEDDINGS, TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(VECTORS, "vectors"),
            numpy_helper.from_array(numpy.array([1]), "axes"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def words() -> bytes:
    """A tokenizer that knows five words."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=WORDS[0]))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(made.to_str()).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny model as packing writes it."""
    return write_model(tmp_path, {"model.onnx": graph(), "tokenizer.json": words()})


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    """A client of a server of the tiny model."""
    with serving(folder, MODEL) as opened:
        yield opened


def ask(client: httpx.Client, texts: Any, **more: Any) -> Any:
    """The answer about texts."""
    response = client.post(ROUTE, json={"model": "tiny", "input": texts, **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_each_text_gets_its_vector_in_order(client: httpx.Client) -> None:
    document = ask(client, ["north", "west", "north east"])

    found = numpy.array([one["embedding"] for one in document["data"]])
    numpy.testing.assert_allclose(found, [[0, 1, 0], [-1, 0, 0], [0.5**0.5, 0.5**0.5, 0]], 1e-6)
    assert [one["index"] for one in document["data"]] == [0, 1, 2]


def test_the_answer_has_openais_form_and_ours_beside_it(client: httpx.Client) -> None:
    document = ask(client, ["north", "west of east"])

    assert (document["object"], document["model"]) == ("list", "tiny")
    assert {one["object"] for one in document["data"]} == {"embedding"}
    assert document["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert document["modelyard"] == {
        "name": "tiny", "version": VERSION, "digest": DIGEST, "truncated": [],
    }  # fmt: skip


def test_base64_holds_the_same_numbers(client: httpx.Client) -> None:
    texts = ["north east", "south"]
    plain, coded = (ask(client, texts, encoding_format=each) for each in ("float", "base64"))

    for one, other in zip(plain["data"], coded["data"], strict=True):
        found = numpy.frombuffer(base64.b64decode(other["embedding"]), "<f4")
        assert one["embedding"] == pytest.approx(found.tolist(), abs=1e-7)


def test_a_text_has_the_same_vector_alone_and_among_others(client: httpx.Client) -> None:
    texts = ["north", "north east east", "west " * 7, "south east"]

    together = [one["embedding"] for one in ask(client, texts)["data"]]

    assert together == [ask(client, text)["data"][0]["embedding"] for text in texts]


def test_of_a_long_text_the_beginning_is_read_and_the_answer_says_so(client: httpx.Client) -> None:
    document = ask(client, ["north", "east " * 8 + "west " * 20])

    assert document["data"][1]["embedding"] == pytest.approx([1, 0, 0])
    assert document["usage"]["prompt_tokens"] == 9
    assert document["modelyard"]["truncated"] == [1]


def test_a_bad_request_has_the_one_error_body(client: httpx.Client) -> None:
    response = client.post(ROUTE, json={"model": "other", "input": "north"})

    assert response.status_code == 404
    assert set(response.json()["error"]) == {"code", "message", "remedy"}
    assert response.json()["error"]["code"] == "model_not_found"


def test_another_path_is_told_where_embeddings_are(client: httpx.Client) -> None:
    response = client.post("/v1/predict", json={})

    assert response.status_code == 404
    assert ROUTE in response.json()["error"]["remedy"]


def test_the_openapi_document_describes_requests_and_answers(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    validate(document)
    assert "post" in document["paths"][ROUTE]

    def schema(name: str) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}

    request = {"model": "tiny", "input": ["north"], "encoding_format": "base64", "user": "me"}
    jsonschema.validate(request, schema("Request"))
    jsonschema.validate(ask(client, "north"), schema("Answer"))
    jsonschema.validate(client.post(ROUTE, json=request).json(), schema("Answer"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"model": "tiny", "input": []}, schema("Request"))


def test_tokens_and_truncated_texts_are_counted(client: httpx.Client) -> None:
    ask(client, ["north", "east west north", "south " * 30])

    found = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }

    assert found["modelyard_text_tokens_count", None] == 3
    assert found["modelyard_text_tokens_sum", None] == 1 + 3 + 8
    assert found["modelyard_text_tokens_bucket", "4.0"] == 2
    assert found["modelyard_truncated_texts_total", None] == 1


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A model that computes until the event is set."""
    done = threading.Event()
    compute = embedder.Session.embed

    def slowly(self: embedder.Session, texts: list[str]) -> list[embedder.Embedding]:
        if "east" in texts:
            done.wait(10)
        return compute(self, texts)

    monkeypatch.setattr(embedder.Session, "embed", slowly)
    yield done
    done.set()


def test_while_the_model_computes_health_is_told_and_queries_are_answered(
    client: httpx.Client, busy: threading.Event
) -> None:
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(ask, client, ["east", "west"])
        time.sleep(0.1)
        told = [client.get("/docs.json").status_code for _ in range(3)]
        assert ask(client, "north")["data"][0]["embedding"] == [0, 1, 0]
        waiting = not asked.done()
        busy.set()

        assert told == [200, 200, 200]
        assert waiting
        assert asked.result()["data"][0]["embedding"] == [1, 0, 0]


def test_a_request_that_waits_too_long_is_told_to_come_later(
    client: httpx.Client, busy: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as short:
        short.setattr(embedder, "WAIT_S", 0.1)
        response = client.post(ROUTE, json={"model": "tiny", "input": ["east", "west"]})

    assert response.status_code == 429
    assert response.json()["error"]["code"] == "overloaded"
    assert response.headers["retry-after"] == "1"
    busy.set()
    assert ask(client, "north")["data"][0]["embedding"] == [0, 1, 0]


def test_a_request_is_cut_into_turns_between_texts() -> None:
    long = "x" * embedder.TURN

    assert list(turns(["a", "b"])) == [["a", "b"]]
    assert list(turns([long, "a", "b"])) == [[long], ["a", "b"]]
    assert list(turns(["a", long * 3, "b"])) == [["a", long * 3], ["b"]]
    many = [long[:500]] * 64
    assert [text for turn in turns(many) for text in turn] == many


def test_a_graph_with_other_dimensions_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(folder))
    wider = Embedder(name="tiny", summary="", dimensions=384, tokens=8)

    with pytest.raises(ValueError, match=r"shape \(3,\); tiny says 384 dimensions"):
        wider.open(artifact.load("tiny"))


def test_a_damaged_tokenizer_is_not_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(folder))
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": None}) + " ")

    with pytest.raises(artifact.ArtifactError, match=r"tokenizer\.json is damaged"):
        artifact.load("tiny")


@pytest.fixture
def openais(client: httpx.Client) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, as its documents say to point it at another server."""
    with openai.DefaultHttpxClient(trust_env=False) as http:
        url = str(client.base_url.join("/v1"))
        yield openai.OpenAI(base_url=url, api_key="any", http_client=http, max_retries=0)


def test_openais_client_gets_vectors(openais: openai.OpenAI) -> None:
    # It asks for base64 by itself, and decodes it.
    found = openais.embeddings.create(model="tiny", input=["north", "west"], user="me")

    assert [one.embedding for one in found.data] == [[0, 1, 0], [-1, 0, 0]]
    assert (found.model, found.usage.prompt_tokens) == ("tiny", 2)


def test_openais_client_understands_refusals(openais: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="here is 'tiny' alone"):
        openais.embeddings.create(model="other", input="north")
    with pytest.raises(openai.BadRequestError, match="this model has 3"):
        openais.embeddings.create(model="tiny", input="north", dimensions=2)
