"""The model that a peer serves: named by the environment, as `yard bench` sets it."""

import os
from importlib import import_module

from services.serving.model import Model

NAME = "MODELYARD_BENCH_MODEL"
"""Environment variable: a folder of services/models. Its files come from MODELYARD_MODEL."""


def model() -> Model:
    """The declaration that our own service of this model is built from."""
    before = dict(os.environ)
    declared: Model = import_module(f"services.models.{os.environ[NAME]}.service").MODEL
    os.environ |= before  # our service takes away what Bento's own endpoints count with
    return declared
