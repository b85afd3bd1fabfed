"""Starlette that sends back what it got: the most that a server of this kind can do."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    """Read the body and send it back."""
    return Response(await request.body(), media_type="application/json")


async def ready(_: Request) -> Response:
    """Say that requests are answered."""
    return PlainTextResponse("\n")


app = Starlette(
    routes=[
        Route("/readyz", ready),
        Route("/{path:path}", echo, methods=["POST"]),
    ]
)
