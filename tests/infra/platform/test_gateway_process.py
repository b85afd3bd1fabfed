"""The gateway's own program under its own middlewares: who dies behind it is not noticed before it.

Traefik's file provider takes what the custom resources say, but for how they name a service.
"""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.toolchain import provide
from infra.models.routes import retry, strip, transport
from infra.platform import gateway as platform
from infra.platform import gateway_names as names
from infra.platform import routes
from tests.infra.plugins.apiserver import free_port

pytestmark = pytest.mark.apiserver

# Both a model and a doorkeeper; told to, either dies under what it was asked.
BACKEND = """
import http.server, os, sys
class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.survive()
        self.answer(200, self.path.encode())
    def survive(self):
        if os.path.exists(sys.argv[2]):
            os.remove(sys.argv[2])
            os._exit(9)
    def do_GET(self):
        if self.path == "/auth":
            self.survive()
        known = self.headers.get("authorization") == "Bearer good"
        self.answer(200 if known or self.path != "/auth" else 401, b"")
    def answer(self, status, content):
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend).serve_forever()
"""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is behind a gateway, and what it does about it."""

    again: bool = True
    """Whether it asks again when whoever it asked dies."""
    lost: bool = False
    """Whether one more doorkeeper is known whose node is gone."""


@dataclass
class Gateway:
    """Traefik with doorkeepers and two models behind it."""

    port: int
    process: subprocess.Popen[bytes]
    doorkeepers: list[subprocess.Popen[bytes]]
    fatal: Path
    """While this file exists, the next model that reads a request dies of it."""
    fatal_to_doorkeepers: Path
    """While this file exists, the next doorkeeper that is asked dies of it."""

    def ask(self, token: str = "good") -> tuple[int, bytes]:
        """Ask for a prediction; returns status and body."""
        connection = self.connect()
        try:
            answer = predict(connection, token)
            return answer.status, answer.read()
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """A connection, which is kept open until the gateway wants it closed."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)


def predict(
    connection: http.client.HTTPConnection, token: str = "good"
) -> http.client.HTTPResponse:
    """Send a request for a prediction; its answer, not read yet."""
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("POST", "/digits/v1/predict", b"{}", headers)
    return connection.getresponse()


def listening(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.05)
        else:
            return


@contextmanager
def silent() -> Iterator[int]:
    """A port that neither takes a connection nor refuses it: its queue is full."""
    with socket.socket() as server, ExitStack() as callers:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(8):
            try:
                caller = socket.create_connection(server.getsockname(), timeout=0.5)
            except TimeoutError:
                yield server.getsockname()[1]
                return
            callers.enter_context(caller)
        pytest.fail("it takes every connection")


def configuration(doorkeepers: list[int], pods: list[int], again: bool) -> dict[str, Any]:
    """What the gateway reads of the cluster, in the words of a file."""
    shared = routes._middlewares(routes._balanced("doorkeeper"))
    shared |= routes._again() | {names.AUTH: routes._asked(f"http://127.0.0.1:{INNER}/auth")}
    for one in shared.values():
        if "errors" in one:
            one["errors"]["service"] = "doorkeeper"
    if not again:
        del shared[names.BODY_LIMIT]["buffering"]["retryExpression"]
        shared[names.AUTH_AGAIN]["buffering"] = {"maxRequestBodyBytes": names.BODY_LIMIT_BYTES}
    inner = routes._to_the_doorkeeper({})

    def balanced(ports: list[int], **more: str) -> dict[str, Any]:
        servers = [{"url": f"http://127.0.0.1:{port}"} for port in ports]
        return {"loadBalancer": {"servers": servers, **more}}

    return {
        "http": {
            "middlewares": {**shared, "strip": strip("digits"), "retry": retry()},
            "serversTransports": {"digits": transport(), "doorkeeper": routes._transport()},
            "services": {
                "doorkeeper": balanced(doorkeepers, serversTransport="doorkeeper"),
                "digits": balanced(pods, serversTransport="digits"),
            },
            "routers": {
                "inner": {
                    "entryPoints": [names.INNER_ENTRY_POINT],
                    "rule": inner["match"],
                    "middlewares": [one["name"] for one in inner["middlewares"]],
                    "service": "doorkeeper",
                },
                "digits": {
                    "entryPoints": [names.ENTRY_POINT],
                    "rule": "PathPrefix(`/digits/`)",
                    "middlewares": [names.AUTH, names.BODY_LIMIT, "strip", "retry"],
                    "service": "digits",
                },
            },
        }
    }


INNER = free_port()
KEPT = re.compile(r"\.(observability\.|lifecycle\.|keepalivemaxtime)")
"""The platform's own flags that hold here, too."""


@pytest.fixture(params=[Ground()])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway on the ground that its parameter says."""
    ground: Ground = request.param
    entry = provide.find("traefik")
    assert entry is not None, "Run `.venv/bin/yard up local`, which builds Traefik."
    ports, port = [free_port() for _ in range(4)], free_port()
    fatal = [tmp_path / "doorkeepers", tmp_path / "models"]
    file = tmp_path / "routes.yml"
    with ExitStack() as running:
        lost = [running.enter_context(silent())] if ground.lost else []
        told = configuration([*lost, *ports[:2]], ports[2:], ground.again)
        file.write_text(yaml.safe_dump(told))

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = running.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            running.callback(process.kill)
            return process

        backends = [
            start(sys.executable, "-c", BACKEND, str(one), str(fatal[number // 2]))
            for number, one in enumerate(ports)
        ]
        process = start(
            str(entry.file("bin/traefik")),
            "--global.checknewversion=false",
            f"--entrypoints.{names.ENTRY_POINT}.address=127.0.0.1:{port}",
            f"--entrypoints.{names.INNER_ENTRY_POINT}.address=127.0.0.1:{INNER}",
            f"--providers.file.filename={file}",
            *(flag for flag in platform._arguments() if KEPT.search(flag)),
        )
        for one in (*ports, port, INNER):
            listening(one)
        found = Gateway(port, process, backends[:2], fatal[1], fatal[0])
        end = time.monotonic() + 30
        while found.ask()[0] == 404 and time.monotonic() < end:
            time.sleep(0.05)  # it listens before it has read its routes
        yield found


def test_the_one_who_asks_with_the_token_gets_through_and_nobody_else(gateway: Gateway) -> None:
    assert gateway.ask() == (200, b"/v1/predict")
    assert gateway.ask("wrong")[0] == 401


def test_a_doorkeeper_that_died_costs_no_request(gateway: Gateway) -> None:
    os.kill(gateway.doorkeepers[0].pid, signal.SIGKILL)
    gateway.doorkeepers[0].wait()

    assert [gateway.ask()[0] for _ in range(20)] == [200] * 20


def test_a_doorkeeper_that_dies_of_the_question_costs_no_request(gateway: Gateway) -> None:
    gateway.fatal_to_doorkeepers.touch()

    assert gateway.ask() == (200, b"/v1/predict")
    assert not gateway.fatal_to_doorkeepers.exists(), "nobody died of it"
    assert [gateway.ask()[0] for _ in range(20)] == [200] * 20


def test_a_request_under_which_its_model_died_is_answered_by_the_other(gateway: Gateway) -> None:
    gateway.fatal.touch()

    assert gateway.ask() == (200, b"/v1/predict")
    assert not gateway.fatal.exists(), "nobody died of it"
    assert [gateway.ask()[0] for _ in range(20)] == [200] * 20


@pytest.mark.parametrize("gateway", [Ground(lost=True)], indirect=True)
def test_a_doorkeeper_that_went_with_its_node_costs_no_request(gateway: Gateway) -> None:
    assert [gateway.ask()[0] for _ in range(6)] == [200] * 6


@pytest.mark.parametrize("gateway", [Ground(again=False)], indirect=True)
def test_without_the_buffers_retry_both_would_be_lost(gateway: Gateway) -> None:
    gateway.fatal.touch()
    assert gateway.ask()[0] == 502

    gateway.fatal_to_doorkeepers.touch()
    assert gateway.ask()[0] >= 500


def test_with_no_doorkeeper_nobody_is_let_in(gateway: Gateway) -> None:
    for one in gateway.doorkeepers:
        one.kill()
        one.wait()

    assert gateway.ask()[0] >= 500


def test_a_gateway_that_is_told_to_end_answers_as_long_as_it_takes_requests(
    gateway: Gateway,
) -> None:
    gateway.process.terminate()

    answers: list[int] = []
    while not answers or gateway.process.poll() is None:
        try:
            answers.append(gateway.ask()[0])
        except OSError:
            break  # it takes none any more
        time.sleep(0.02)

    assert len(answers) >= 20
    assert set(answers) == {200}


def test_a_gateway_that_is_told_to_end_sends_those_away_who_keep_their_connections(
    gateway: Gateway,
) -> None:
    def stay(connection: http.client.HTTPConnection) -> bool:
        """Ask until told to go elsewhere; whether that came with a good answer."""
        while True:
            answer = predict(connection)
            answer.read()
            if answer.status != 200 or answer.will_close:
                return answer.status == 200
            time.sleep(0.05)

    with ThreadPoolExecutor() as callers:
        stays = [callers.submit(stay, gateway.connect()) for _ in range(4)]
        gateway.process.terminate()

        assert [one.result(timeout=60) for one in stays] == [True] * 4
        assert gateway.process.poll() is None, "it closed them by ending"
