"""Make a model in the training environment: `python -m services.models.make train|finish NAME ...`.

`train` writes `graph.onnx` (float32), `files` that the service reads beside it, and `trained.json`;
`finish` writes `model.onnx` (what will be served: int8, or the same float32 graph), the same
`files`, and `evaluation.json`, which compares the two. Progress goes to standard output, one JSON
list a line; everything else that libraries print goes to standard error.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import numpy_helper

from services.models import protocol
from services.models.protocol import FILES, INPUT, OUTPUTS, Data, Floats, Items, Progress
from services.serving.graph import session

GRAPH, TRAINED = "graph.onnx", "trained.json"
SERVED, EVALUATION = "model.onnx", "evaluation.json"

ROUNDS = 60
CALLS = 20
"""At most so many calls are timed at once: a short one is near the clock's resolution."""
LONG_SECONDS = 0.02
BATCHES = (1, 32)
"""CPU time is compared for these many items."""


def train(name: str, parameters: dict[str, Any], folder: Path, progress: Progress) -> None:
    """Train the model ``name`` and say what data and what weights came of it."""
    source: protocol.DataModule = _module(name, "data")
    allowed: protocol.ParametersModule = _module(name, "parameters")
    trainer: protocol.TrainModule = _module(name, "train")
    data, graph = source.load(), folder / GRAPH
    (folder / FILES).mkdir()
    trainer.train(data, allowed.Training.model_validate(parameters), graph, progress)
    tidy(graph)
    facts = {"data": data_digest(data), "weights": weights_digest(graph)}
    (folder / TRAINED).write_text(json.dumps(facts, indent=1) + "\n")


def finish(
    name: str, parameters: dict[str, Any] | None, trained: Path, folder: Path, progress: Progress
) -> None:
    """Quantize (None: do not) and compare what will be served with the float32 graph."""
    source: protocol.DataModule = _module(name, "data")
    evaluator: protocol.EvaluateModule = _module(name, "evaluate")
    data = source.load()
    graph, served = trained / GRAPH, folder / SERVED
    progress("quantizing", 0, 3)
    shutil.copytree(trained / FILES, folder / FILES)
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
    given = {what: answers(path, data.held_out.calls()) for what, path in both(graph, served)}
    for what, path in both(graph, served):
        evaluation[what] = {
            "metrics": evaluator.evaluate(given[what], data.held_out.labels),
            "bytes": path.stat().st_size,
            "weights": weights_digest(path),
        }
    if parameters is not None and hasattr(evaluator, "compare"):
        evaluation["served"]["metrics"] |= evaluator.compare(given["float32"], given["served"])
    progress("comparing CPU time", 2, 3)
    evaluation["cpu_seconds"] = {
        str(batch): cpu_seconds(graph, served, data.held_out.calls(batch)) for batch in BATCHES
    }
    (folder / EVALUATION).write_text(json.dumps(evaluation, indent=1) + "\n")


def both(graph: Path, served: Path) -> tuple[tuple[str, Path], ...]:
    """The graphs that are compared, by the names that the evaluation gives them."""
    return ("float32", graph), ("served", served)


def answers(path: Path, calls: list[Items]) -> Floats:
    """All answers of a graph, one row per item."""
    ask = asking(path)
    return numpy.concatenate([ask(items) for items in calls])


def asking(path: Path) -> Callable[[Items], Floats]:
    """Open a graph as it is served."""
    run, output = session(path).run, output_of(onnx.load(path))
    return lambda items: run([output], {INPUT: items})[0]


def output_of(graph: onnx.ModelProto) -> str:
    """The output that a graph answers with; raises ValueError where it is not made as it has to."""
    inputs = [value.name for value in graph.graph.input]
    outputs = [value.name for value in graph.graph.output]
    known = [name for name in outputs if name in OUTPUTS]
    if inputs != [INPUT] or len(known) != 1:
        raise ValueError(
            f"the graph has inputs {inputs} and outputs {outputs}; it must have the input "
            f"{INPUT!r} alone and one output of {', '.join(OUTPUTS)}: name them so where train.py "
            "exports"
        )
    return str(known[0])


def cpu_seconds(graph: Path, served: Path, items: list[Items]) -> dict[str, float]:
    """Median CPU seconds that each graph takes for the items, and their ratio; they alternate.

    CPU time and not the clock's: on a busy machine the longer call is preempted more often, which
    makes the shorter one look better than it is.
    """
    jobs = [_each(path, items) for path in (graph, served)]
    taken: list[list[float]] = [[], []]
    times = CALLS
    for job in jobs:
        job()  # the first call of a graph takes longer
        times = max(1, min(times, int(LONG_SECONDS / max(_cpu_seconds(job, 1), 1e-6))))
    for _ in range(ROUNDS):
        for job, seconds in zip(jobs, taken, strict=True):
            seconds.append(_cpu_seconds(job, times))
    float32, quantized = (statistics.median(seconds) for seconds in taken)
    return {"float32": float32, "served": quantized, "ratio": quantized / float32}


def _each(path: Path, calls: list[Items]) -> Callable[[], None]:
    ask = asking(path)

    def job() -> None:
        for items in calls:
            ask(items)

    return job


def _cpu_seconds(job: Callable[[], None], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        job()
    return (time.process_time() - started) / times


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
    output_of(graph)
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
