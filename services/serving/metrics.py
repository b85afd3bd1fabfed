"""What Prometheus learns of a service. Labels are few: all unknown paths are one series."""

import os
from collections.abc import Callable, Sequence
from functools import cache, partial

# Bento tells its workers to count in files below /tmp, so that one worker can add up all of them.
# Here is one worker: in memory its counters are faster, and a full disk does not end it. The client
# library looks at this when it is imported.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Seconds. They begin below a millisecond: a small int8 model answers in half of one."""

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one service, in a registry of their own, so that tests can make many."""

    def __init__(self, model: str, version: str, digest: str | None) -> None:
        # Else each counter has a second series with its birthday.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._own = {"model": model, "version": version}
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "modelyard_requests_total",
            "Requests by route and status code.",
            [*self._own, "route", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "modelyard_request_duration_seconds",
            "Seconds from the first byte of a request's head to the last byte of the answer.",
            [*self._own, "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        # Looking a series up by its labels takes three times as long as counting.
        self._requests_of = cache(partial(self._requests.labels, **self._own))
        self._seconds_of = cache(partial(self._seconds.labels, **self._own))
        info = Gauge(
            "modelyard_model_info",
            "1 for the model that is served.",
            [*self._own, "digest"],
            registry=self.registry,
        )
        info.labels(**self._own, digest=digest or "").set(1)

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests_of(route=route, code=code).inc()
        self._seconds_of(route=route).observe(seconds)

    def counter(self, name: str, what: str, *labels: str) -> Callable[..., Counter]:
        """Add a counter of the model's kind; call what is returned with values of its labels."""
        made = Counter(name, what, [*self._own, *labels], registry=self.registry)
        return cache(partial(made.labels, **self._own))

    def histogram(self, name: str, what: str, buckets: Sequence[float]) -> Histogram:
        """Add a histogram of the model's own kind."""
        made = Histogram(name, what, [*self._own], buckets=buckets, registry=self.registry)
        return made.labels(**self._own)

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
