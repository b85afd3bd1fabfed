"""The environment `test` as these tests see it: its command, its gateway, its API server.

Nothing here is a stand-in: `yard` is the checkout's own command, the gateway is asked over TLS with
the environment's own CA and token, and the API server answers with the cluster's truth.
"""

import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

from ci.pipeline import lock
from infra import contract, kubeconfig, places
from infra.contract import Contract
from infra.environment import Environment
from infra.platform import pods as pod_labels
from infra.platform import spaces

NAME = "test"
_GATEWAYS = f"/api/v1/namespaces/{spaces.GATEWAY}/pods"
Answer = TypeVar("Answer")

CONFINED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the policies ask of a pod that a test makes; LOCKED is what they ask of its containers."""
LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def run(
    *command: str | Path,
    inside: Path = places.REPOSITORY,
    timeout: float = 1800,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says; the caller judges its exit status."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=inside,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def told(result: subprocess.CompletedProcess[str]) -> str:
    """What a finished program said, for the message of a failed assertion."""
    return f"{' '.join(result.args)}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"


def until(
    what: str, ask: Callable[[], Answer | None], *, seconds: float = 120, every: float = 0.5
) -> Answer:
    """Ask again until the answer is neither None nor False; raises with the last answer else."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain until {what}; last: {answer!r}")
        time.sleep(every)


class Kubernetes:
    """The API server, spoken to in JSON as the environment's administrator."""

    def __init__(self, path: Path) -> None:
        with kubeconfig.connect(yaml.safe_load(path.read_text())) as connection:
            trust = connection.rest_client.pool_manager.connection_pool_kw["ssl_context"]
            host = connection.configuration.host
        self._http = httpx.Client(base_url=host, verify=trust, timeout=30, trust_env=False)

    def get(self, path: str, **query: str) -> Any:
        """One object or list; raises for any status but 2xx."""
        return self._answer(self._http.get(path, params=query))

    def find(self, path: str) -> Any | None:
        """One object, or None when the API server does not have it."""
        response = self._http.get(path)
        return None if response.status_code == 404 else self._answer(response)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """The items of a list, narrowed by labelSelector or fieldSelector."""
        found: list[dict[str, Any]] = self.get(path, **query)["items"]
        return found

    def text(self, path: str, **query: str) -> str:
        """A raw answer: logs, metrics, anything behind the API server's proxy."""
        response = self._http.get(path, params=query)
        response.raise_for_status()
        return response.text

    def answers(self, path: str) -> bool:
        """Whether what is behind the API server's proxy is there and well."""
        return self._http.get(path).is_success

    def each_answers(self, component: str, port: int, path: str, *, scheme: str = "") -> bool:
        """Whether each of the gateway's pods of ``component``, asked for itself, is well.

        At the address that the API server has of it, ``scheme`` as its proxy takes it ("https:").
        Raises AssertionError when there is no such pod.
        """
        pods = self.items(_GATEWAYS, labelSelector=f"{pod_labels.NAME}={component}")
        assert pods, f"there is no pod of {component}"
        return all(
            self.answers(f"{_GATEWAYS}/{scheme}{pod['metadata']['name']}:{port}/proxy{path}")
            for pod in pods
        )

    def create(self, path: str, document: dict[str, Any]) -> Any:
        """Create an object."""
        return self._answer(self._http.post(path, json=document))

    def patch(self, path: str, document: dict[str, Any]) -> Any:
        """Change an object by a JSON merge patch."""
        kind = {"Content-Type": "application/merge-patch+json"}
        return self._answer(self._http.patch(path, content=json.dumps(document), headers=kind))

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is no fault."""
        response = self._http.delete(path)
        if response.status_code != 404:
            self._answer(response)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if not response.is_success:
            raise AssertionError(f"{response.request.method} {response.url}: {response.text}")
        return response.json()


@dataclass(frozen=True)
class House:
    """One environment that is up, and the checkout whose `yard` drives it."""

    environment: Environment
    contract: Contract

    @property
    def yard_path(self) -> Path:
        """The command under test."""
        return places.REPOSITORY / ".venv/bin/yard"

    @property
    def state(self) -> Path:
        """The environment's folder of state on this machine."""
        return places.state(self.environment.name)

    @property
    def token(self) -> str:
        """The gateway's bearer token."""
        return (self.contract.credentials / "token").read_text().strip()

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Trust in the environment's own CA and nothing else."""
        return ssl.create_default_context(cafile=str(self.contract.credentials / "ca.crt"))

    def gateway(self, *, token: str | None = "") -> httpx.Client:
        """A client of the gateway with the environment's token; with None it sends no token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(
            base_url=self.contract.gateway.url,
            headers=headers,
            verify=self.trust,
            timeout=30,
            trust_env=False,
        )

    def yard(self, *arguments: str, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        """Run the checkout's own `yard`; the caller judges its exit status."""
        return run(self.yard_path, *arguments, timeout=timeout)

    def done(self, *arguments: str) -> str:
        """Run `yard`, insist that it exits with 0, and return what it wrote on stdout."""
        result = self.yard(*arguments)
        assert result.returncode == 0, told(result)
        return result.stdout

    def status(self) -> dict[str, Any]:
        """`yard status test --json`, parsed."""
        document: dict[str, Any] = json.loads(self.done("status", NAME, "--json"))
        return document

    def versions(self, service: str) -> list[dict[str, Any]]:
        """The versions of a service as `yard status` tells them."""
        for entry in self.status()["services"]:
            if entry["name"] == service:
                found: list[dict[str, Any]] = entry["versions"]
                return found
        raise AssertionError(f"`yard status {NAME} --json` does not name the service {service}")

    def by_hand(self, project: Path, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in ``project`` after `eval "$(yard env test)"`, as a person would."""
        line = f'eval "$({self.yard_path} env {NAME})" && {command}'
        return run("bash", "-c", line, inside=project)


@dataclass(frozen=True)
class Clone:
    """A clone of the checkout with a `.venv` of its own, which may ship for the checkout."""

    path: Path

    def yard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the clone's own `yard`; the caller judges its exit status."""
        acts_for = {lock.ACT_FOR: str(places.REPOSITORY)}
        return run(self.path / ".venv/bin/yard", *arguments, inside=self.path, environment=acts_for)

    def restore(self) -> None:
        """Undo every edit."""
        for command in (("checkout", "--quiet", "."), ("clean", "--quiet", "-d", "--force")):
            result = run("git", *command, inside=self.path)
            assert result.returncode == 0, told(result)


def released(house: House, service: str) -> Path:
    """The file that says what should run."""
    return house.state / "releases" / f"{service}.yaml"


def withdraw(house: House, kubernetes: Kubernetes, service: str) -> None:
    """Take a release away, as a person would by hand, and see its pods go."""
    released(house, service).unlink()
    cleaned = house.by_hand(places.REPOSITORY / "infra/models", "pulumi up --yes --skip-preview")
    assert cleaned.returncode == 0, told(cleaned)
    selector = f"modelyard.dev/model={service}"
    path = "/api/v1/namespaces/models/pods"
    until(
        f"no pod of {service} is left",
        lambda: not kubernetes.items(path, labelSelector=selector),
    )


def contract_path() -> Path:
    """Where the contract of the environment under test stands, or will stand."""
    return contract.path(NAME)
