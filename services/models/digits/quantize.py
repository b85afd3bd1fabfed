"""Make the net int8: static QDQ, ranges calibrated on the train split."""

from pathlib import Path
from typing import Any

import numpy
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from services.models.digits.parameters import Quantization
from services.models.protocol import INPUT, Data, Floats

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the calibration pictures over in batches."""

    def __init__(self, items: Floats, batch: int = 64) -> None:
        self._batches = iter([items[at : at + batch] for at in range(0, len(items), batch)])

    def get_next(self) -> dict[str, Floats] | None:
        """Return the next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def quantize(data: Data, parameters: Quantization, graph: Path, quantized: Path) -> None:
    """Write the int8 graph. The softmax stays float32: cheap, and probabilities need the range."""
    prepared = quantized.with_suffix(".prepared.onnx")
    quant_pre_process(graph, prepared, skip_symbolic_shape=True)
    options: dict[str, Any] = {"CalibTensorRangeSymmetric": False}
    if parameters.activation_range is not None:
        options["TensorQuantOverrides"] = _overrides(prepared, parameters.activation_range)
    quantize_static(
        prepared,
        quantized,
        Reader(data.train.items[: parameters.calibration_items]),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Reshape"],
        per_channel=parameters.per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=METHODS[parameters.calibration],
        extra_options=options,
    )
    prepared.unlink()


def _overrides(graph: Path, span: tuple[float, float]) -> dict[str, list[dict[str, Any]]]:
    low, high = (numpy.float32(bound) for bound in span)
    names = [name for node in onnx.load(graph).graph.node for name in node.output]
    return {name: [{"rmin": low, "rmax": high}] for name in names}
