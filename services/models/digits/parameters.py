"""What bentos/digits.yaml may set about training and quantization."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.models import protocol


class Training(protocol.Parameters):
    """How the net is trained."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    epochs: Annotated[int, Field(ge=1, le=200)]
    batch: Annotated[int, Field(ge=8, le=512)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]


class Quantization(protocol.Parameters):
    """How activations and weights become int8."""

    calibration_items: Annotated[int, Field(ge=16, le=1347)]
    """Pictures of the train split that activation ranges are measured on."""
    calibration: Literal["minmax", "entropy", "percentile"] = "minmax"
    per_channel: bool = True
    activation_range: tuple[float, float] | None = None
    """Use this range for every activation instead of the measured ones. Meant for nets whose
    activations are known to be bounded; a range that is too narrow ruins the model, and the gates
    then refuse it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.activation_range and self.activation_range[0] >= self.activation_range[1]:
            raise ValueError("activation_range is [low, high] with low below high")
        return self
