"""Reading a request: its headers and its body, bounded in size and time."""

import asyncio

from starlette.types import Receive, Scope

from services.serving.faults import Fault

LIMIT = 1024 * 1024
"""Bytes of a body. The gateway has the same limit; a pod must not rely on it."""

DRAIN = 8 * LIMIT
"""Bytes that are read and dropped, so that a caller who sends too much still gets the answer."""

PATIENCE_S = 8.0
"""Seconds in which the body must come. Shorter than Bento's own timeout, whose body is not ours."""

CLOSE = ((b"connection", b"close"),)
"""The rest of the body is not read: the connection cannot serve another request."""


class Gone(Exception):  # noqa: N818 - nobody is left who could be told
    """The caller hung up before the whole body came."""


async def read(scope: Scope, receive: Receive, remedy: str) -> bytes:
    """Return the body of a JSON request; raises Fault for another type, too much, or too slow."""
    announced = check_head(scope, remedy)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await _read(receive, announced)
    except TimeoutError:
        raise Fault(
            408,
            "body_timeout",
            f"the body did not come within {PATIENCE_S:g} seconds",
            "Send it faster, or send fewer items at a time.",
            headers=CLOSE,
        ) from None


def check_head(scope: Scope, remedy: str) -> int:
    """Check type and encoding; return the announced length, 0 where none is."""
    kind, length = b"", 0
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = int(value)  # the HTTP parser lets only digits through
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Fault(415, "unsupported_encoding", "the body is compressed", "Send it as it is.")
    if kind != b"application/json":
        media, _, rest = kind.decode("latin-1").lower().partition(";")
        charset = rest.strip().removeprefix("charset=").strip('"')
        if media.strip() != "application/json" or charset not in ("", "utf-8"):
            said = kind.decode("latin-1")[:60] or "absent"
            raise Fault(
                415,
                "unsupported_media_type",
                f"the content type is {said}, not application/json",
                f"Send the header Content-Type: application/json. {remedy}",
            )
    return length


async def _read(receive: Receive, announced: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= DRAIN:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= LIMIT:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if max(size, announced) > LIMIT:
        raise Fault(
            413,
            "too_large",
            f"the body has {max(size, announced)} bytes or more; at most {LIMIT} are taken",
            "Send fewer items at a time.",
            headers=CLOSE,
        )
    return b"".join(chunks)
