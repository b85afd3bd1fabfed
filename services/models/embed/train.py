"""Write published weights as a graph: BERT with 6 layers, mean pooling, length 1.

Nothing is trained. The graph has the operators that ONNX Runtime fuses, and no mask: each text runs
alone, without padding (why: docs/adr/0016-texts-run-alone.md).
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from services.models.embed.data import published
from services.models.embed.parameters import DIMENSIONS, Training
from services.models.protocol import EMBEDDINGS, FILES, INPUT, Data, Floats, Progress

OPSET = 20  # the first with Gelu


def train(data: Data, parameters: Training, graph: Path, progress: Progress) -> None:
    """Write the graph, and the tokenizer that belongs to it."""
    del data, parameters  # the weights come ready-made
    progress("writing the published weights as a graph", 0, 1)
    config = json.loads(published("config.json").read_text())
    onnx.save(bert(load_file(published("model.safetensors")), config), graph)
    shutil.copyfile(published("tokenizer.json"), graph.parent / FILES / "tokenizer.json")


def bert(weights: Mapping[str, Floats], config: Mapping[str, Any]) -> onnx.ModelProto:
    """Build the graph: tokens (n, length) in, embeddings (n, DIMENSIONS) out."""
    made = Nodes(weights, config["layer_norm_eps"])
    x = _embedding(made)
    for number in range(config["num_hidden_layers"]):
        x = _layer(made, f"encoder.layer.{number}", x, config["num_attention_heads"])
    mean = made("ReduceMean", x, made.ints(1), keepdims=0)
    made("LpNormalization", mean, axis=-1, p=2, output=EMBEDDINGS)
    tokens = helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["n", "length"])
    answer = helper.make_tensor_value_info(EMBEDDINGS, TensorProto.FLOAT, ["n", DIMENSIONS])
    graph = helper.make_graph(made.nodes, "bert", [tokens], [answer], made.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


class Nodes:
    """Nodes and weights of a graph that is being built."""

    def __init__(self, weights: Mapping[str, Floats], epsilon: float) -> None:
        self._weights, self._epsilon = weights, epsilon
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def split(self, x: str, count: int) -> list[str]:
        """Cut the first dimension, which has length ``count``, into its rows."""
        rows = [f"Split_{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(helper.make_node("Split", [x], rows, axis=0, num_outputs=count))
        return [self("Squeeze", row, self.ints(0)) for row in rows]

    def constant(self, array: numpy.ndarray, name: str = "") -> str:
        """Add a weight, and return its name."""
        name = name or f"constant_{len(self.initializers)}"
        tensor = numpy_helper.from_array(numpy.ascontiguousarray(array), name)
        self.initializers.append(tensor)
        return name

    def ints(self, *values: int) -> str:
        """Add axes, a shape or bounds."""
        return self.constant(numpy.array(values, numpy.int64))

    def weight(self, name: str) -> Floats:
        """One of the published weights."""
        return self._weights[name]

    def linear(self, x: str, matrix: Floats, bias: Floats, name: str) -> str:
        """x @ matrix + bias."""
        product = self("MatMul", x, self.constant(matrix, f"{name}.weight"))
        return self("Add", product, self.constant(bias, f"{name}.bias"))

    def dense(self, x: str, name: str) -> str:
        """A published linear layer; torch keeps its matrix transposed."""
        matrix, bias = self.weight(f"{name}.weight").T, self.weight(f"{name}.bias")
        return self.linear(x, matrix, bias, name)

    def norm(self, x: str, name: str) -> str:
        """A published layer normalization."""
        scale, shift = (
            self.constant(self.weight(f"{name}.{part}"), f"{name}.{part}")
            for part in ("weight", "bias")
        )
        return self("LayerNormalization", x, scale, shift, axis=-1, epsilon=self._epsilon)


def _embedding(made: Nodes) -> str:
    """Word + position + the type that all tokens have here, normalized."""
    words = made.constant(made.weight("embeddings.word_embeddings.weight"), "words")
    places = made.weight("embeddings.position_embeddings.weight")
    places = places + made.weight("embeddings.token_type_embeddings.weight")[0]
    length = made("Slice", made("Shape", INPUT), made.ints(1), made.ints(2))
    first = made("Slice", made.constant(places, "places"), made.ints(0), length, made.ints(0))
    return made.norm(made("Add", made("Gather", words, INPUT), first), "embeddings.LayerNorm")


def _layer(made: Nodes, name: str, x: str, heads: int) -> str:
    mixed = _attention(made, f"{name}.attention.self", x, heads)
    attended = made("Add", made.dense(mixed, f"{name}.attention.output.dense"), x)
    x = made.norm(attended, f"{name}.attention.output.LayerNorm")
    wide = made("Gelu", made.dense(x, f"{name}.intermediate.dense"))
    return made.norm(
        made("Add", made.dense(wide, f"{name}.output.dense"), x), f"{name}.output.LayerNorm"
    )


def _attention(made: Nodes, name: str, x: str, heads: int) -> str:
    """Attention of each head, side by side. One product makes query, key and value."""
    width = DIMENSIONS // heads
    shrink = {"query": numpy.float32(width**-0.5)}  # else the scores would be divided by it
    parts = ("query", "key", "value")
    matrix = [made.weight(f"{name}.{part}.weight").T * shrink.get(part, 1) for part in parts]
    bias = [made.weight(f"{name}.{part}.bias") * shrink.get(part, 1) for part in parts]
    mixed = made.linear(x, numpy.concatenate(matrix, 1), numpy.concatenate(bias), name)
    split = made("Reshape", mixed, made.ints(0, 0, len(parts), heads, width))
    stacked = made("Transpose", split, perm=[2, 0, 3, 1, 4])
    query, key, value = made.split(stacked, len(parts))
    scores = made("MatMul", query, made("Transpose", key, perm=[0, 1, 3, 2]))
    mixed = made("MatMul", made("Softmax", scores, axis=-1), value)
    return made("Reshape", made("Transpose", mixed, perm=[0, 2, 1, 3]), made.ints(0, 0, DIMENSIONS))
