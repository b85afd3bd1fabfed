"""A tiny model with digits' shape, so that the hot route is tested without training anything."""

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy
import onnx
import pytest
import uvicorn
from onnx import TensorProto, helper, numpy_helper
from starlette.applications import Starlette

from services.models.protocol import INPUT, PROBABILITIES
from services.serving import application
from services.serving.artifact import FOLDER
from services.serving.classifier import Classifier
from services.serving.items import Items
from services.serving.model import Model

VERSION = "1.2.3"
DIGEST = "sha256:" + "d" * 64

CLASSIFIER = Classifier(
    name="tiny",
    summary="Says which row of a picture is the brightest.",
    items=Items(key="images", shape=(8, 8), low=0, high=16, limit=64),
    labels=range(8),
)


def graph() -> bytes:
    """A softmax over the sums of the eight rows."""
    axes = numpy_helper.from_array(numpy.array([2]), "axes")
    nodes = [
        helper.make_node("ReduceSum", [INPUT, "axes"], ["sums"], keepdims=0),
        helper.make_node("Softmax", ["sums"], [PROBABILITIES], axis=1),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 8, 8])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", 8])],
        [axes],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(made, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    assert isinstance(content, bytes)
    return content


def write_model(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """Write a model as packing does, the tiny one unless files are given; returns the folder."""
    files = files or {"model.onnx": graph()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    facts = {"name": "tiny", "version": VERSION, "files": digests}
    (folder / "model.json").write_text(json.dumps(facts))
    return folder


@contextmanager
def serving(
    folder: Path,
    model: Model = CLASSIFIER,
    build: Callable[[Any], Starlette] = application.build,
) -> Iterator[httpx.Client]:
    """A client of a real server on a free port of 127.0.0.1 that serves what the folder holds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(FOLDER, str(folder))
        environment.setenv("MODELYARD_DIGEST", DIGEST)
        server = uvicorn.Server(uvicorn.Config(build(model), log_config=None))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=url, trust_env=False) as opened:
                yield opened
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that other tests have asked before."""
    with serving(write_model(tmp_path_factory.mktemp("tiny"))) as opened:
        yield opened


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a server that nobody has asked yet."""
    with serving(write_model(tmp_path)) as opened:
        yield opened


def picture(brightest: int) -> list[list[float]]:
    """A picture whose row ``brightest`` is the only one that is not black."""
    return [[16.0 if row == brightest else 0.0] * 8 for row in range(8)]
