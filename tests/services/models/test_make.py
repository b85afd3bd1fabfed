"""What is measured of a model, with tiny graphs in place of trained ones."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.models import make
from services.models.protocol import EMBEDDINGS, FILES, INPUT, PROBABILITIES, Data, Split

TEXTS = numpy.array([[1, 2, 0], [2, 0, 0], [1, 1, 2]])
"""Tokens of three texts, filled up with zeros."""


def averaging(output: str = EMBEDDINGS, scale: float = 1.0, name: str = INPUT) -> onnx.ModelProto:
    """A graph that answers with the mean of its tokens' vectors."""
    table = numpy.array([[9, 9], [1, 0], [0, 1]], numpy.float32) * numpy.float32(scale)
    nodes = [
        helper.make_node("Gather", ["table", name], ["rows"]),
        helper.make_node("ReduceMean", ["rows", "axes"], [output], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "averaging",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(numpy.array([1]), "axes"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def data() -> Data:
    labels = numpy.array([0, 1, 0])
    return Data(
        train=Split(items=TEXTS[:0], labels=labels[:0]), held_out=Split(items=TEXTS, labels=labels)
    )


def test_items_of_one_shape_are_asked_about_at_once() -> None:
    pictures = numpy.zeros((5, 8, 8), numpy.float32)

    assert [call.shape for call in Split(items=pictures, labels=TEXTS[0]).calls()] == [(5, 8, 8)]
    assert [call.shape for call in Split(items=pictures, labels=TEXTS[0]).calls(2)] == [(2, 8, 8)]


def test_texts_are_asked_about_one_by_one_and_without_what_fills_them_up() -> None:
    assert [call.tolist() for call in data().held_out.calls()] == [[[1, 2]], [[2]], [[1, 1, 2]]]
    assert len(data().held_out.calls(1)) == 1


def test_a_graphs_answers_are_in_the_order_of_the_items(tmp_path: Path) -> None:
    onnx.save(averaging(), tmp_path / "graph.onnx")

    found = make.answers(tmp_path / "graph.onnx", data().held_out.calls())

    numpy.testing.assert_allclose(found, [[0.5, 0.5], [0.0, 1.0], [2 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize(
    "graph", [averaging(output="logits"), averaging(name="pixels")], ids=["output", "input"]
)
def test_a_graph_with_other_names_is_refused_with_the_right_ones(graph: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match=r"'items' alone and one output of probabilities, emb"):
        make.output_of(graph)


def test_an_outputs_name_says_what_kind_of_model_it_is() -> None:
    assert make.output_of(averaging()) == EMBEDDINGS
    assert make.output_of(averaging(output=PROBABILITIES)) == PROBABILITIES


def test_other_labels_are_other_data() -> None:
    other = Data(train=data().train, held_out=Split(items=TEXTS, labels=numpy.array([0, 1, 1])))

    assert make.data_digest(data()) == make.data_digest(data())
    assert make.data_digest(data()) != make.data_digest(other)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The evaluation of a model whose quantization scales its answers by ten."""
    trained, folder = tmp_path / "trained", tmp_path / "finished"
    (trained / FILES).mkdir(parents=True)
    folder.mkdir()
    onnx.save(averaging(), trained / "graph.onnx")
    (trained / FILES / "tokenizer.json").write_text("{}")
    parts = {
        "data": SimpleNamespace(load=data),
        "parameters": SimpleNamespace(Quantization=SimpleNamespace(model_validate=dict)),
        "quantize": SimpleNamespace(
            quantize=lambda data, parameters, graph, target: onnx.save(averaging(scale=10), target)
        ),
        "evaluate": SimpleNamespace(
            evaluate=lambda answers, labels: {"largest": float(answers.max())},
            compare=lambda float32, served: {"ratio": float(served.max() / float32.max())},
        ),
    }
    monkeypatch.setattr(make, "_module", lambda name, part: parts[part])
    monkeypatch.setattr(make, "ROUNDS", 2)
    make.finish("tiny", {}, trained, folder, lambda *_: None)
    assert (folder / FILES / "tokenizer.json").is_file()
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return found


def test_both_graphs_are_measured_and_compared(finished: dict[str, Any]) -> None:
    assert finished["held_out"] == 3
    assert finished["float32"]["metrics"] == {"largest": 1.0}
    assert finished["served"]["metrics"] == {"largest": 10.0, "ratio": 10.0}


def test_cpu_time_is_measured_for_few_and_for_many_items(finished: dict[str, Any]) -> None:
    assert set(finished["cpu_seconds"]) == {"1", "32"}
    assert all(taken["served"] > 0 for taken in finished["cpu_seconds"].values())
