"""The program as the image starts it."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from services.platform.doorkeeper import __main__ as program

RETRIES = httpx.HTTPTransport(retries=12)  # waits 0.5 s, 1 s, 2 s, ... for the port to open


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(hashlib.sha256(b"a-token").hexdigest())
    return path


def start(tokens: Path, port: int) -> subprocess.Popen[str]:
    # The port is a constant of the program; tests set another so that they never meet a real one.
    code = (
        f"from {program.__name__} import *; import {program.__name__} as p; p.PORT={port}; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "DOORKEEPER_TOKENS": str(tokens)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_serves_and_ends_well_on_sigterm(tokens: Path, unused_port: int) -> None:
    process = start(tokens, unused_port)
    try:
        with httpx.Client(transport=RETRIES, base_url=f"http://127.0.0.1:{unused_port}") as door:
            assert door.get("/healthz").text == "ok\n"
            answer = door.get("/auth", headers={"Authorization": "Bearer a-token"})
            assert answer.status_code == 200
            assert "server" not in answer.headers
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)

    assert "Finished server process" in output
    assert process.returncode in (0, -signal.SIGTERM)
    assert "a-token" not in output


def test_an_unsound_token_file_stops_the_start_and_says_why(tokens: Path, unused_port: int) -> None:
    tokens.write_text("not a hash")
    process = start(tokens, unused_port)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "line 1 is no sha256" in output
