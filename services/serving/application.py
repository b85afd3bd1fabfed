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
from collections.abc import AsyncIterator, Callable
from time import perf_counter

import orjson
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.serving import artifact, body, faults, openapi
from services.serving.faults import Fault
from services.serving.metrics import CONTENT_TYPE, Metrics
from services.serving.model import Facts, Model

PAGES = ("/metrics", "/docs.json", "/livez", "/readyz", "/healthz")
log = logging.getLogger("modelyard.serving")


class Service:
    """A loaded model with its counters: what the routes share."""

    def __init__(self, model: Model) -> None:
        found = artifact.load(model.name)
        self.model = model
        self.facts = Facts(model.name, found.version, os.environ.get("MODELYARD_DIGEST"))
        self.metrics = Metrics(*self.facts)
        self.session = model.open(found)
        self.answer = self.session.answering(self.metrics, self.facts)
        self.allowed = {model.route: "POST", **dict.fromkeys(PAGES, "GET, HEAD")}


def build(model: Model) -> Starlette:
    """Build the application; the model is loaded when the server starts, not at import."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.service = Service(model)
        # What lives now lives for ever. Walking it at each full collection cost 40 ms and more at
        # p99.
        gc.collect()
        gc.freeze()
        yield

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route(model.route, Hot(), methods=["POST"]),
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
    return orjson.dumps(openapi.document(service.model, service.facts.version))


class Hot:
    """The hot route, straight on ASGI."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and count it."""
        started = perf_counter()
        service: Service = scope["app"].state.service
        try:
            content = await body.read(scope, receive, service.model.remedy)
            await _send(send, 200, await service.answer(content))
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
        service.metrics.request(service.model.route, status, perf_counter() - started)


class Shortcut:
    """Middleware that gives the hot route its requests before Bento's routing, a third of the time.

    All else goes on to Bento, which sends to ``mounted`` what it does not answer itself.
    """

    def __init__(self, app: ASGIApp, *, mounted: Starlette, route: str) -> None:
        self._app, self._mounted, self._route, self._hot = app, mounted, route, Hot()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the hot route, or pass it on."""
        if scope["type"] == "http" and scope["path"] == self._route and scope["method"] == "POST":
            scope["app"] = self._mounted
            await self._hot(scope, receive, send)
        else:
            await self._app(scope, receive, send)


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
        fault = explain(service, scope["path"], scope["method"])
        await _send(send, fault.status, fault.body(), headers=fault.headers)
        service.metrics.request("unknown", fault.status, perf_counter() - started)


def explain(service: Service, path: str, method: str) -> Fault:
    """Say why a request found no route, and what is served instead."""
    known = path[:100]
    remedy = f"This service answers POST {service.model.route}; /docs.json describes it."
    if allowed := service.allowed.get(path):
        message = f"{known} does not take {method[:20]}"
        headers = ((b"allow", allowed.encode()),)
        return Fault(405, "method_not_allowed", message, f"Use {allowed}.", headers)
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
