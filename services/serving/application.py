"""The application that every model service mounts: one hot route, metrics, documents, error bodies.

Why not `@bentoml.api`: measured on one core, it answers a third of the requests of this route,
which has the same duties (checks, metrics, error bodies). Bento still runs the process, its health
and its shutdown.
"""

import contextlib
import gc
import logging
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import perf_counter

import orjson
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.serving import artifact, body, faults, openapi
from services.serving.classifier import Classifier, Session
from services.serving.faults import Fault
from services.serving.metrics import CONTENT_TYPE, Metrics

PREDICT = "/v1/predict"
ALLOWED = {
    PREDICT: "POST",
    **dict.fromkeys(("/metrics", "/docs.json", "/livez", "/readyz", "/healthz"), "GET, HEAD"),
}
TRACING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = logging.getLogger("modelyard.serving")


class Service:
    """A loaded model with its counters: what the routes share."""

    def __init__(self, classifier: Classifier) -> None:
        found = artifact.load(classifier.name)
        digest = os.environ.get("MODELYARD_DIGEST")
        self.classifier = classifier
        self.session = Session(found.graph, classifier)
        self.metrics = Metrics(classifier.name, found.version, digest)
        self.version = found.version
        self.model = {"name": classifier.name, "version": found.version, "digest": digest}

    def answer(self, content: bytes) -> bytes:
        """Check the request, ask the model, and write the answer."""
        predictions = self.session.predict(self.classifier.items.read(content))
        for label, count in Counter(one.label for one in predictions).items():
            self.metrics.prediction(label, count)
        return orjson.dumps({"predictions": predictions, "model": self.model})


def build(classifier: Classifier) -> Starlette:
    """Build the application; the model is loaded when the server starts, not at import."""
    if not any(name in os.environ for name in TRACING):
        # Bento always mounts OpenTelemetry's middleware: without an exporter it takes a fifth of
        # the time.
        os.environ.setdefault("OTEL_SDK_DISABLED", "true")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.service = Service(classifier)
        # What lives now lives for ever. Walking it at each full collection cost 40 ms and more at
        # p99.
        gc.collect()
        gc.freeze()
        yield

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route(PREDICT, Predict(), methods=["POST"]),
            Route(
                "/metrics",
                Page(CONTENT_TYPE, lambda service: service.metrics.page()),
                methods=["GET"],
            ),
            Route("/docs.json", Page("application/json", openapi_page), methods=["GET"]),
            Route("/{path:path}", Unknown()),
        ],
    )


def openapi_page(service: Service) -> bytes:
    """Describe the service as OpenAPI."""
    return orjson.dumps(openapi.document(service.classifier, service.version))


class Predict:
    """The hot route, straight on ASGI."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and count it."""
        started = perf_counter()
        service: Service = scope["app"].state.service
        try:
            content = await body.read(scope, receive, service.classifier.items.remedy)
            await _send(send, 200, service.answer(content))
            status = 200
        except Fault as fault:
            await _send(send, fault.status, fault.body(), headers=fault.headers)
            status = fault.status
        except body.Gone:
            status = 499  # nginx's number for it
        except Exception:
            log.exception("a request could not be answered")
            status = faults.INTERNAL.status
            await _send(send, status, faults.INTERNAL.body())
        service.metrics.request(PREDICT, status, perf_counter() - started)


class Page:
    """A page that is made anew at each request."""

    def __init__(self, kind: str, make: Callable[[Service], bytes]) -> None:
        self._kind, self._make = kind, make

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Send the page."""
        await _send(send, 200, self._make(scope["app"].state.service), self._kind)


class Unknown:
    """Every path and method that nothing else serves."""

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Say what is served instead."""
        started = perf_counter()
        service: Service = scope["app"].state.service
        fault = _explain(scope["path"], scope["method"])
        await _send(send, fault.status, fault.body(), headers=fault.headers)
        service.metrics.request("unknown", fault.status, perf_counter() - started)


def _explain(path: str, method: str) -> Fault:
    known = path[:100]
    remedy = f"This service answers POST {PREDICT}; /docs.json describes it."
    if path in ALLOWED:
        message = f"{known} does not take {method[:20]}"
        headers = ((b"allow", ALLOWED[path].encode()),)
        return Fault(405, "method_not_allowed", message, f"Use {ALLOWED[path]}.", headers)
    if re.match(r"/v[0-9]+(/|$)", path) and not path.startswith("/v1/"):
        return Fault(404, "unknown_version", f"{known}: no such version of the API", remedy)
    return Fault(404, "not_found", f"{known} is not served", remedy)


async def _send(
    send: Send,
    status: int,
    content: bytes,
    kind: str = "application/json",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    start = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(content)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": content})
