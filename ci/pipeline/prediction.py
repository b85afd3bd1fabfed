"""Ask a model for a prediction as a client does: over TLS, with a token, through the gateway."""

import json
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from ci.pipeline import cluster
from ci.report import Report
from infra import places
from infra.contract import Contract
from infra.models import labels
from infra.refusal import Refusal

PATIENCE_S = 30.0
"""Longest wait for one answer: a cold pod answers in less than two seconds."""

GATEWAY_S = 240.0
"""Longest wait for the first answer: after a restart of the machine all pods start at once."""

AT_ONCE = 8
"""Models that are asked at the same time."""


class PredictionError(Exception):
    """No prediction came; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A prediction: the body that came, and the milliseconds that it took."""

    body: dict[str, Any]
    milliseconds: float

    @property
    def facts(self) -> dict[str, Any]:
        """Name, version and digest of what answered; in OpenAI's form `model` is only its name."""
        model = self.body["model"]
        found = self.body["modelyard"] if isinstance(model, str) else model
        return dict(found)

    @property
    def version(self) -> str:
        """Version of the model that answered."""
        return str(self.facts["version"])

    @property
    def digest(self) -> str:
        """Digest of the image that answered."""
        return str(self.facts["digest"])


def example(name: str) -> dict[str, Any]:
    """A valid request of the model: services/models/NAME/example.json."""
    folder = places.REPOSITORY / "services" / "models"
    known = sorted(path.parent.name for path in folder.glob("*/example.json"))
    if name not in known:
        raise Refusal(
            "model",
            name,
            f"it has no example.json in {folder}",
            f"Models that have one: {', '.join(known) or 'none'}.",
        )
    document = json.loads((folder / name / "example.json").read_text())
    assert isinstance(document, dict)
    return document


class Client:
    """Asks the model below ``base``; keeps its connection open between requests."""

    def __init__(self, base: str, http: httpx.Client) -> None:
        self._base, self._http = base, http

    @cached_property
    def url(self) -> str:
        """Where the model takes POST, as its own OpenAPI document says."""
        paths: dict[str, Any] = self._send("GET", f"{self._base}/docs.json").json()["paths"]
        (path,) = (path for path, methods in paths.items() if "post" in methods)
        return f"{self._base}{path}"

    def ask(self, body: dict[str, Any]) -> Answer:
        """Send one request; raises PredictionError for anything but an answer."""
        url = self.url
        started = time.perf_counter()
        response = self._send("POST", url, body)
        milliseconds = (time.perf_counter() - started) * 1000
        return Answer(body=response.json(), milliseconds=milliseconds)

    def _send(self, method: str, url: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            response = self._http.request(method, url, json=body)
        except httpx.TransportError as error:
            raise PredictionError(
                f"{url} does not answer: {error}. Look at `yard status`."
            ) from error
        if response.status_code != httpx.codes.OK:
            raise PredictionError(_explain(response))
        return response


@contextmanager
def client(contract: Contract, name: str) -> Iterator[Client]:
    """Open a client of a model in the contract's environment."""
    with _connections(contract) as http:
        yield _client(contract, name, http)


@contextmanager
def _connections(contract: Contract) -> Iterator[httpx.Client]:
    trust = ssl.create_default_context(cafile=contract.authority)
    token = (contract.credentials / "token").read_text().strip()
    # trust_env off: a proxy of the machine must not get between it and its own 127.0.0.1.
    with httpx.Client(
        verify=trust,
        trust_env=False,
        timeout=PATIENCE_S,
        headers={"Authorization": f"Bearer {token}"},
    ) as http:
        yield http


def _client(contract: Contract, name: str, http: httpx.Client) -> Client:
    return Client(f"{contract.gateway.url}/{name}", http)


def proven(contract: Contract, name: str, report: Report) -> Answer:
    """One prediction of the model's example, by an image that a ready pod of it runs.

    The gateway needs a moment to learn of new pods: waits for it up to GATEWAY_S.
    """
    return all_proven(contract, [name], report)[name]


def all_proven(contract: Contract, names: Sequence[str], report: Report) -> dict[str, Answer]:
    """As :func:`proven` for several models, a few at a time; their pods are asked for in one."""
    deadline = time.monotonic() + GATEWAY_S
    with _connections(contract) as http, ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(
                lambda name: _first_answer(name, _client(contract, name, http), deadline, report),
                names,
            )
        )
    only = names[0] if len(names) == 1 else ""
    running = cluster.image_digests(contract, labels.MODEL, only)
    for name, answer in zip(names, answers, strict=True):
        digests = running.get(name, set())
        if answer.digest not in digests:
            raise PredictionError(
                f"{name} answered as {answer.digest}, but its pods run"
                f" {', '.join(sorted(digests)) or 'nothing'}. Another release may just be under"
                f" way: look at `yard status {contract.environment}`."
            )
    return dict(zip(names, answers, strict=True))


def unseen(contract: Contract) -> str | None:
    """Why this machine cannot ask the gateway, in words; None where its name is known here."""
    host = httpx.URL(contract.gateway.url).host
    try:
        socket.getaddrinfo(host, contract.gateway.port)
    except socket.gaierror:
        return (
            f"{host} has no address here, so no prediction was asked for: let its owner point it at"
            " the load balancer, and ask from where that can be reached"
        )
    return None


def _first_answer(name: str, asking: Client, deadline: float, report: Report) -> Answer:
    while True:
        try:
            return asking.ask(example(name))
        except PredictionError as error:
            if time.monotonic() > deadline:
                raise
            report(str(error).splitlines()[0], 0, 0)
            time.sleep(0.5)


def _explain(response: httpx.Response) -> str:
    """The error body in words: every error of the gateway and of the models has the same form."""
    try:
        fault = response.json()["error"]
        return (
            f"{response.status_code} {fault['code']}: {fault['message']}\n"
            f"  remedy: {fault['remedy']}"
        )
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} from {response.url}: {response.text[:500]}"
