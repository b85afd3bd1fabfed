"""What every FastAPI peer has besides its hot route: our duties, as FastAPI has them done.

Same model, threads, metrics, checks and error bodies as our own service. Written as FastAPI's
documentation has it, and tuned as ours is: the body is a pydantic model, orjson writes the answer,
the middleware is plain ASGI, objects that live for ever are frozen.
"""

import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from time import perf_counter
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci.bench.peers.fastapi_faults import explain_validation
from services.serving import body, faults
from services.serving.application import Service, explain
from services.serving.faults import Fault
from services.serving.metrics import CONTENT_TYPE, Metrics
from services.serving.model import Model


class Served:
    """A loaded model, and counters of its own: those of ``service`` are our hot route's."""

    def __init__(self, model: Model) -> None:
        self.service = Service(model)
        self.session: Any = self.service.session
        self.facts = self.service.facts
        self.metrics = Metrics(*self.facts)


def frame(model: Model, load: Callable[[], Served], key: str) -> FastAPI:
    """An application without a hot route; ``key`` is the request's list of items."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.served = load()
        gc.collect()
        gc.freeze()
        yield

    made = FastAPI(
        title=model.name,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/docs.json",
        redirect_slashes=False,
    )
    made.router.route_class = JsonRoute
    made.add_middleware(Duties)
    _add_faults(made, model, key)
    _add_pages(made)
    return made


class JsonRoute(APIRoute):
    """A route that looks at the head before FastAPI reads the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        inner = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return inner

        async def checked(request: Request) -> Response:
            body.check_head(request.scope, "Send JSON.")
            return await inner(request)

        return checked


class Duties:
    """Middleware that bounds bodies, and counts requests and their seconds as our hot route does.

    FastAPI's own `max_body_size` answers in plain text, whatever a handler says.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, size = perf_counter(), 500, 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > body.LIMIT:
                raise HTTPException(413)
            return message

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, bounded, watched)
        finally:
            served: Served = scope["app"].state.served
            hot = served.service.model.route
            route = hot if scope["path"] == hot else "unknown"
            if route == hot or status >= 400:  # pages are not counted
                served.metrics.request(route, status, perf_counter() - started)


def _add_pages(app: FastAPI) -> None:
    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(app.state.served.metrics.page(), media_type=CONTENT_TYPE)

    async def well() -> Response:
        return Response("\n", media_type="text/plain")

    for path in ("/livez", "/readyz", "/healthz"):
        app.get(path)(well)


def _add_faults(app: FastAPI, model: Model, key: str) -> None:
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _response(explain_validation(error, key, model.remedy))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _response(_explain_status(request, error.status_code, model.remedy))

    async def fault(_: Request, error: Exception) -> Response:
        assert isinstance(error, Fault)
        return _response(error)

    async def broken(_: Request, __: Exception) -> Response:
        return _response(faults.INTERNAL)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Fault, fault)
    app.add_exception_handler(Exception, broken)


def _explain_status(request: Request, status: int, remedy: str) -> Fault:
    if status == 413:
        return Fault(413, "too_large", f"at most {body.LIMIT} bytes are taken", "Send fewer items.")
    if status == 400:
        return Fault(400, "invalid_json", "the body is not JSON", remedy)
    served: Served = request.app.state.served
    return explain(served.service, request.url.path, request.method)


def _response(fault: Fault) -> Response:
    headers = {name.decode(): value.decode() for name, value in fault.headers}
    return Response(fault.body(), fault.status, headers, "application/json")
