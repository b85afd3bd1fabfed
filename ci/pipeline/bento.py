"""`bentos/NAME.yaml`: how one model is trained, quantized, gated, packed and served."""

import re
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from infra import places
from infra.models.release import Replicas, Resources
from infra.names import Version
from infra.refusal import Refusal, check, read

NAME = re.compile(r"[a-z][a-z0-9]{0,49}")
"""A model's folder is a Python package and its Service a DNS label; this is what both can be."""


class Closed(BaseModel, extra="forbid", frozen=True):
    """A part of the file: no unknown keys, no changes after load."""


class Int8(Closed):
    """The model's quantize.py runs with these parameters."""

    method: Literal["int8"]
    parameters: dict[str, Any]


class NotQuantized(Closed):
    """The float32 graph is served as it is."""

    method: Literal["none"]
    reason: Annotated[str, Field(min_length=10)]


COMPARING = ("metrics_drop_max", "bytes_ratio_max", "cpu_ratio_max")
"""Gates that compare with float32; a model that is not quantized has none of them."""

Ratio = Annotated[float, Field(gt=0, le=10)]
Metrics = Annotated[dict[str, float], Field(min_length=1)]
"""Limits by the names that the model's evaluate.py gives its metrics."""


class Gates(Closed):
    """Limits that the model must keep; ratios are of what is served to float32."""

    metrics_min: Metrics | None = None
    metrics_max: Metrics | None = None
    metrics_drop_max: Metrics | None = None
    """What quantization may take from a metric."""
    bytes_ratio_max: Ratio | None = None
    cpu_ratio_max: Ratio | None = None
    image_mb_max: Annotated[int, Field(gt=0, le=10_000)] = 160

    @model_validator(mode="after")
    def _any(self) -> Self:
        if self.metrics_min is None and self.metrics_max is None:
            raise ValueError(
                "one of metrics_min and metrics_max has to say how good the model must be"
            )
        return self


class Serving(Closed):
    """What a release starts with; see infra.models.release."""

    pool: Literal["cpu", "gpu"]
    gpus: Annotated[int, Field(ge=0, le=16)] = 0
    replicas: Replicas = Replicas()
    resources: Resources

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if (self.pool == "gpu") != (self.gpus > 0):
            raise ValueError("a model on the gpu pool has gpus of 1 to 16, any other has none")
        return self


class Bento(Closed):
    """All of the file."""

    version: Version
    default: bool = False
    service: Annotated[str, StringConstraints(pattern=r"^[\w.]+:\w+$")]
    """Import path of the service: `package.module:Class`."""
    requirements: str
    """Lock file, with hashes, of what the image holds; relative to the repository."""
    training: dict[str, Any]
    quantization: Annotated[Int8 | NotQuantized, Field(discriminator="method")]
    gates: Gates
    serving: Serving


def folder() -> Path:
    """Where the files stand."""
    return places.REPOSITORY / "bentos"


def names() -> list[str]:
    """Models that the checkout has a file for."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def path(name: str) -> Path:
    """The file of one model."""
    return folder() / f"{name}.yaml"


def sources(name: str) -> Path:
    """The folder with the model's code."""
    return places.REPOSITORY / "services" / "models" / name


def load(name: str) -> Bento:
    """Load a model's file; raises Refusal for an unknown name and for anything unsound in it."""
    where = path(name)
    if not NAME.fullmatch(name) or not where.is_file():
        known = ", ".join(names()) or "none"
        raise Refusal("model", name, f"{where} does not exist", f"Known models: {known}.")
    loaded = read(where, Bento)
    if not (sources(name) / "service.py").is_file():
        raise Refusal(
            str(where),
            name,
            f"{sources(name)} has no service.py",
            "Add the model's code there; docs/add-a-model.md says how.",
        )
    if not (places.REPOSITORY / loaded.requirements).is_file():
        raise Refusal(
            f"{where}: requirements",
            loaded.requirements,
            "the file does not exist",
            "Set it to a lock file of the repository: services/serving/requirements.lock.",
        )
    _check_parameters(name, loaded, where)
    _check_comparing(loaded, where)
    return loaded


def _check_parameters(name: str, loaded: Bento, where: Path) -> None:
    """What the model's own code takes is a closed model of its own: parameters.py."""
    module = import_module(f"services.models.{name}.parameters")
    check(loaded.training, module.Training, where=f"{where}: training")
    if isinstance(loaded.quantization, Int8):
        check(
            loaded.quantization.parameters,
            module.Quantization,
            where=f"{where}: quantization.parameters",
        )


def _check_comparing(loaded: Bento, where: Path) -> None:
    for key in COMPARING:
        limit = getattr(loaded.gates, key)
        if isinstance(loaded.quantization, Int8) and limit is None:
            rule, remedy = "it is required where quantization.method is int8", f"Add gates.{key}."
        elif isinstance(loaded.quantization, NotQuantized) and limit is not None:
            rule = "it compares with float32, which is what is served here"
            remedy = f"Remove gates.{key}."
        else:
            continue
        raise Refusal(f"{where}: gates.{key}", limit, rule, remedy)
