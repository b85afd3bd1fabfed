"""Make the graph int8: dynamic for its matrices, and the table of words by bytes."""

from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from services.models.embed.parameters import Quantization
from services.models.protocol import Data


def quantize(data: Data, parameters: Quantization, graph: Path, quantized: Path) -> None:
    """Write the int8 graph. Static ranges were tried: outliers of activations ruin the answers."""
    del data  # ranges are measured while the graph runs
    quantize_dynamic(
        graph,
        quantized,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=parameters.per_channel,
        reduce_range=parameters.reduce_range,
        weight_type=QuantType.QInt8,
    )
