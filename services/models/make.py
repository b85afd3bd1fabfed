"""Make a model in the training environment: `python -m services.models.make train|finish NAME ...`.

`train` writes `graph.onnx` (float32) and `trained.json`; `finish` writes `model.onnx` (what will be
served: int8, or the same float32 graph) and `evaluation.json`, which compares the two. Progress
goes to standard output, one JSON list a line; everything else that libraries print goes to standard
error.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

from services.models import protocol
from services.models.protocol import INPUT, OUTPUT, Data, Floats, Progress

ROUNDS = 60
BATCHES = (1, 32)
"""CPU time is compared for these many items a call."""


def train(name: str, parameters: dict[str, Any], folder: Path, progress: Progress) -> None:
    """Train the model ``name`` and say what data and what weights came of it."""
    source: protocol.DataModule = _module(name, "data")
    allowed: protocol.ParametersModule = _module(name, "parameters")
    trainer: protocol.TrainModule = _module(name, "train")
    data, graph = source.load(), folder / "graph.onnx"
    trainer.train(data, allowed.Training.model_validate(parameters), graph, progress)
    tidy(graph)
    facts = {"data": data_digest(data), "weights": weights_digest(graph)}
    (folder / "trained.json").write_text(json.dumps(facts, indent=1) + "\n")


def finish(
    name: str, parameters: dict[str, Any] | None, trained: Path, folder: Path, progress: Progress
) -> None:
    """Quantize (None: do not) and compare what will be served with the float32 graph."""
    source: protocol.DataModule = _module(name, "data")
    evaluator: protocol.EvaluateModule = _module(name, "evaluate")
    data = source.load()
    graph, served = trained / "graph.onnx", folder / "model.onnx"
    progress("quantizing", 0, 3)
    if parameters is None:
        shutil.copyfile(graph, served)
    else:
        allowed: protocol.ParametersModule = _module(name, "parameters")
        quantizer: protocol.QuantizeModule = _module(name, "quantize")
        typed = allowed.Quantization.model_validate(parameters)
        quantizer.quantize(data, typed, graph, served)
        tidy(served)
    progress("evaluating", 1, 3)
    evaluation: dict[str, Any] = {"held_out": len(data.held_out.labels)}
    for what, path in (("float32", graph), ("served", served)):
        answers = session(path).run([OUTPUT], {INPUT: data.held_out.items})[0]
        evaluation[what] = {
            "metrics": evaluator.evaluate(answers, data.held_out.labels),
            "bytes": path.stat().st_size,
            "weights": weights_digest(path),
        }
    progress("comparing CPU time", 2, 3)
    evaluation["cpu_seconds"] = {
        str(batch): cpu_seconds(graph, served, data.held_out.items[:batch]) for batch in BATCHES
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=1) + "\n")


def session(path: Path) -> onnxruntime.InferenceSession:
    """Open a graph with one thread, as it is served."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def cpu_seconds(graph: Path, served: Path, items: Floats) -> dict[str, float]:
    """Median CPU seconds of one call of each graph, and their ratio; calls alternate.

    CPU time and not the clock's: on a busy machine the longer call is preempted more often, which
    makes the shorter one look better than it is.
    """
    calls: list[Callable[[], object]] = [
        partial(session(path).run, [OUTPUT], {INPUT: items}) for path in (graph, served)
    ]
    for call in calls:
        call()
    taken: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for call, seconds in zip(calls, taken, strict=True):
            started = time.process_time()
            for _ in range(20):
                call()
            seconds.append((time.process_time() - started) / 20)
    float32, quantized = (statistics.median(seconds) for seconds in taken)
    return {"float32": float32, "served": quantized, "ratio": quantized / float32}


def tidy(path: Path) -> None:
    """Take out of a graph what names this machine: exporters write stack traces with its paths."""
    graph = onnx.load(path)
    del graph.metadata_props[:]
    graph.doc_string = ""
    parts = [graph.graph, *graph.functions]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
        for item in [*part.node, *part.value_info]:
            del item.metadata_props[:]
            item.doc_string = ""
    onnx.checker.check_model(graph, full_check=True)
    names = [value.name for value in graph.graph.input], [v.name for v in graph.graph.output]
    if names[0] != [INPUT] or OUTPUT not in names[1]:
        raise ValueError(
            f"the graph has inputs {names[0]} and outputs {names[1]}; it must have the input "
            f"{INPUT!r} alone and an output {OUTPUT!r}: name them so where train.py exports"
        )
    path.write_bytes(graph.SerializeToString(deterministic=True))


def weights_digest(path: Path) -> str:
    """Digest of a graph's weights alone: names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    weights = onnx.load(path).graph.initializer
    for tensor in sorted(weights, key=lambda tensor: str(tensor.name)):
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}\n".encode())
        digest.update(numpy_helper.to_array(tensor).tobytes())
    return f"sha256:{digest.hexdigest()}"


def data_digest(data: Data) -> str:
    """Digest of both splits."""
    digest = hashlib.sha256()
    for split in (data.train, data.held_out):
        for array in (split.items, split.labels):
            digest.update(f"{array.dtype} {array.shape}\n".encode())
            digest.update(numpy.ascontiguousarray(array).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _module(name: str, part: str) -> Any:
    return import_module(f"services.models.{name}.{part}")


def main() -> None:
    """Parse the arguments, keep standard output for progress, and do the job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["train", "finish"])
    parser.add_argument("name")
    parser.add_argument("--parameters", type=json.loads, default=None)
    parser.add_argument("--trained", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    given = parser.parse_args()
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for progress

    def progress(text: str, done: int, total: int) -> None:
        print(json.dumps([text, done, total]), file=lines)

    if given.job == "train":
        train(given.name, given.parameters or {}, given.into, progress)
    else:
        finish(given.name, given.parameters, given.trained, given.into, progress)


if __name__ == "__main__":
    main()
