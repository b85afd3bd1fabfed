"""A model as a Bento service: `@service(MODEL)` over a class is what a `service.py` ends with."""

import os
from collections.abc import Callable
from typing import Any

import bentoml

from services.serving import application
from services.serving.model import Model

EXPORTERS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

SETTINGS: dict[str, Any] = {
    # Bento does not start a crashed worker again in a container: more pods, not more workers.
    "workers": 1,
    # A tenth of the throughput; the gateway writes one.
    "logging": {"access": {"enabled": False}},
    # They make a series of each path that a scanner tries; ours are bounded.
    "metrics": {"enabled": False},
    # Also how long Bento keeps a timer for each answered request.
    "traffic": {"timeout": 10},
}

UNTRACED: dict[str, Any] = {"tracing": {"excluded_urls": [".*"]}}
"""Bento always mounts OpenTelemetry's middleware: spans that nobody exports take 0.1 ms each."""


def service(model: Model) -> Callable[[type], Any]:
    """Mount the model's application on a Bento service that is named as the model."""
    app = application.build(model)
    settings = SETTINGS if any(name in os.environ for name in EXPORTERS) else SETTINGS | UNTRACED

    def decorate(inner: type) -> Any:
        mounted = bentoml.asgi_app(app, path="/")(inner)
        made = bentoml.service(name=model.name, **settings)(mounted)
        made.add_asgi_middleware(application.Shortcut, mounted=app, route=model.route)
        return made

    return decorate
