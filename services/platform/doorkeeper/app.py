"""The application: who may pass, and the words of the gateway's errors."""

import logging

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.platform.doorkeeper.errors import fault
from services.platform.doorkeeper.tokens import Tokens, UnsoundTokens

logger = logging.getLogger("uvicorn.error")

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
"""The gateway sends what nothing serves with its own method: a POST to no model is a 404 too."""


def doorkeeper(tokens: Tokens) -> Starlette:
    """Build the application around the tokens that open."""
    registry = CollectorRegistry()
    asked = Counter(
        "doorkeeper_auth_total",
        "Requests that the gateway asked about, by outcome.",
        ["outcome"],
        registry=registry,
    )
    worded = Counter(
        "doorkeeper_errors_total",
        "Error bodies written for the gateway, by status.",
        ["status"],
        registry=registry,
    )
    for outcome in ("allowed", "missing", "wrong", "unsound"):
        asked.labels(outcome)  # a series that exists from the start can be alerted on

    async def auth(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            asked.labels("missing").inc()
            return _error(401, {"WWW-Authenticate": 'Bearer realm="modelyard"'})
        try:
            opens = tokens.opens(token.strip())
        except UnsoundTokens:
            asked.labels("unsound").inc()
            raise
        if not opens:
            asked.labels("wrong").inc()
            challenge = 'Bearer realm="modelyard", error="invalid_token"'
            return _error(401, {"WWW-Authenticate": challenge})
        asked.labels("allowed").inc()
        return Response(status_code=200)

    async def error(request: Request) -> Response:
        status = request.path_params["status"]
        if not 400 <= status <= 599:
            status = 404
        worded.labels(str(status)).inc()
        return _error(status)

    async def healthz(request: Request) -> Response:  # noqa: ARG001 - the signature of a route
        tokens.hashes()
        return PlainTextResponse("ok\n")

    async def metrics(request: Request) -> Response:  # noqa: ARG001 - the signature of a route
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def refused(request: Request, failure: Exception) -> Response:  # noqa: ARG001
        assert isinstance(failure, HTTPException)
        return _error(failure.status_code)

    async def closed(request: Request, failure: Exception) -> Response:  # noqa: ARG001
        logger.error("nobody is let in: %s", failure)
        return _error(503)

    async def failed(request: Request, failure: Exception) -> Response:  # noqa: ARG001
        # Starlette raises it again after this answer, so that uvicorn logs where it happened.
        return _error(500)

    app = Starlette(
        routes=[
            Route("/auth", auth),
            Route("/errors/{status:int}", error, methods=METHODS),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: refused, UnsoundTokens: closed, Exception: failed},
    )
    app.router.redirect_slashes = False  # a redirect would send a caller to a path of ours
    return app


def _error(status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    # No cache may keep a refusal and show it to somebody who is let in.
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return JSONResponse(fault(status).body(), status_code=status, headers=headers)
