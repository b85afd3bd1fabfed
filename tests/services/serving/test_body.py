import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from services.serving import body
from services.serving.faults import Fault

CHUNK = 64 * 1024


def scope(length: int | None = None) -> dict[str, Any]:
    headers = [(b"content-type", b"application/json")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http", "headers": headers}


class Sender:
    """What a server would receive from a caller: chunks, and then nothing or an end."""

    def __init__(self, chunks: Iterable[bytes], *, ends: bool = True) -> None:
        self._chunks = list(chunks)
        self._ends = ends
        self.asked = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if not self._chunks:
            await asyncio.Event().wait()
        chunk = self._chunks.pop(0)
        return {
            "type": "http.request",
            "body": chunk,
            "more_body": bool(self._chunks) or not self._ends,
        }


def read(sender: Any, length: int | None = None) -> bytes:
    return asyncio.run(body.read(scope(length), sender, "Send JSON."))


def test_chunks_are_put_together() -> None:
    assert read(Sender([b"ab", b"", b"c"])) == b"abc"


def test_a_chunked_body_is_cut_off_at_the_limit_although_it_announced_nothing() -> None:
    sender = Sender([b"x" * CHUNK] * 20)

    with pytest.raises(Fault) as caught:
        read(sender)

    assert caught.value.status == 413
    assert (b"connection", b"close") in caught.value.headers


def test_an_endless_body_is_given_up_after_eight_mebibytes() -> None:
    sender = Sender([b"x" * CHUNK] * 1000)

    with pytest.raises(Fault) as caught:
        read(sender)

    assert caught.value.status == 413
    assert sender.asked <= body.DRAIN // CHUNK + 1


def test_an_announced_length_over_the_limit_is_refused_though_less_comes() -> None:
    with pytest.raises(Fault, match="2000000 bytes") as caught:
        read(Sender([b"{}"]), length=2_000_000)

    assert caught.value.status == 413


def test_a_body_that_never_ends_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "PATIENCE_S", 0.05)

    with pytest.raises(Fault) as caught:
        read(Sender([b"{"], ends=False))

    assert (caught.value.status, caught.value.code) == (408, "body_timeout")


def test_a_caller_who_hangs_up_is_not_an_error() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(body.Gone):
        read(gone)
