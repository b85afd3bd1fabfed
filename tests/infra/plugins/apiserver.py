"""A real API server for tests: etcd, kube-apiserver and a few controllers on loopback ports.

No kubelet and no scheduler: pods are made and stay pending until a test patches their status.
"""

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
import yaml

from ci.toolchain import manifest, store

CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemonset-controller",
    "endpointslice-controller",
    "serviceaccount-controller",
    "persistentvolumeclaim-protection-controller",
)
START_SECONDS = 120


def binary(family: str, name: str) -> Path:
    """A tool of the store; fails with the remedy when it has not been built."""
    recipe = manifest.load().family[family]
    entry = store.find(family, recipe.key(manifest.wrapper(family)))
    assert entry is not None, f"{family} is not in the store: run `yard up local`, which builds it"
    return entry.file(f"bin/{name}")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ApiServer:
    """The running server, as an administrator talks to it, past the stand-in."""

    def __init__(self, url: str, token: str, ca: Path, kubeconfig: Path) -> None:
        self.url, self.kubeconfig = url, kubeconfig
        self.processes: dict[str, int] = {}
        """Ids of its processes, by name."""
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pool = urllib3.PoolManager(ca_certs=str(ca))

    def request(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json"
    ) -> dict[str, Any]:
        """One request; an error status is an exception."""
        status, document = self.ask(method, path, body, content=content)
        if status >= 400:
            raise AssertionError(f"{method} {path}: {status} {document}")
        return document

    def ask(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """One request; (status, document)."""
        answer = self._pool.request(
            method,
            self.url + path,
            body=None if body is None else json.dumps(body).encode(),
            headers=self._headers | {"Content-Type": content},
            timeout=30,
        )
        try:
            document = json.loads(answer.data)
        except ValueError:
            document = {"message": answer.data.decode()}
        return answer.status, document

    def get(self, path: str) -> dict[str, Any]:
        """Read an object."""
        return self.request("GET", path)

    def find(self, path: str) -> dict[str, Any] | None:
        """Read an object; None when it does not exist."""
        status, document = self.ask("GET", path)
        return None if status == 404 else document

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object in a collection."""
        return self.request("POST", path, body)

    def patch(
        self, path: str, body: dict[str, Any], *, manager: str = "somebody"
    ) -> dict[str, Any]:
        """Merge-patch an object as another field manager."""
        return self.request(
            "PATCH",
            f"{path}?fieldManager={manager}",
            body,
            content="application/merge-patch+json",
        )

    def status(self, path: str, status: dict[str, Any]) -> dict[str, Any]:
        """Patch an object's status, as a controller does."""
        return self.request(
            "PATCH",
            f"{path}/status?fieldManager=controller",
            {"status": status},
            content="application/merge-patch+json",
        )

    def managers(self, path: str) -> set[str]:
        """The field managers of an object."""
        return {entry["manager"] for entry in self.get(path)["metadata"]["managedFields"]}

    def namespace(self, name: str) -> str:
        """Make a namespace and return its name."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        return name


@contextmanager
def running(
    folder: Path,
    *,
    flags: Sequence[str] = (),
    controller_flags: Sequence[str] = (),
    accounts: Sequence[str] = (),
) -> Iterator[ApiServer]:
    """Start all of it in ``folder``; stop exactly these processes at the end.

    ``flags`` are the API server's own, beside ours; ``accounts`` are lines of
    token, user, uid and group beside the administrator's.
    """
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    administrator = f"{token},administrator,administrator,system:masters"
    (folder / "tokens.csv").write_text("\n".join([administrator, *accounts, ""]))
    (folder / "tokens.csv").chmod(0o600)
    _key(folder)
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, command: list[str]) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            # setpriv: they do not outlive tests that were killed.
            mortal = ["setpriv", "--pdeathsig", "KILL", *command]
            processes.append(subprocess.Popen(mortal, stdout=log, stderr=log, cwd=folder))

    etcd = f"http://127.0.0.1:{etcd_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    try:
        start(
            "etcd",
            [
                str(binary("etcd", "etcd")),
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
            ],
        )
        start("kube-apiserver", [*_apiserver(folder, etcd, port), *flags])
        url = f"https://127.0.0.1:{port}"
        ca = folder / "certificates" / "apiserver.crt"
        kubeconfig = folder / "kubeconfig"
        _await(lambda: ca.exists(), "its certificate", processes, folder)
        _kubeconfig(kubeconfig, url, token, ca)
        server = ApiServer(url, token, ca, kubeconfig)
        _await(lambda: _ready(server), "the API server", processes, folder)
        start(
            "kube-controller-manager",
            [
                str(binary("kubernetes", "kube-controller-manager")),
                f"--kubeconfig={kubeconfig}",
                f"--controllers={','.join(CONTROLLERS)}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--secure-port=0",
                "--concurrent-gc-syncs=4",
                *controller_flags,
            ],
        )
        _await(
            lambda: server.find("/api/v1/namespaces/default/serviceaccounts/default") is not None,
            "the controllers",
            processes,
            folder,
        )
        names = ("etcd", "kube-apiserver", "kube-controller-manager")
        pids = [process.pid for process in processes]
        server.processes = dict(zip(names, pids, strict=True))
        yield server
    finally:
        # Killed, not asked: an API server takes 20 s to end in good order, for nothing here.
        for process in reversed(processes):
            process.kill()
            process.wait()
        shutil.rmtree(folder / "etcd", ignore_errors=True)


def _apiserver(folder: Path, etcd: str, port: int) -> list[str]:
    return [
        str(binary("kubernetes", "kube-apiserver")),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.99.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'service-account.key'}",
        f"--service-account-signing-key-file={folder / 'service-account.key'}",
        "--allow-privileged=true",
    ]


def _key(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    path = folder / "service-account.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)


def _kubeconfig(path: Path, url: str, token: str, ca: Path) -> None:
    authority = base64.b64encode(ca.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "administrator"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)


def _ready(server: ApiServer) -> bool:
    try:
        return server.ask("GET", "/readyz")[0] == 200
    except urllib3.exceptions.HTTPError:
        return False


def _await(reached: Any, what: str, processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not reached():
        dead = [process.args for process in processes if process.poll() is not None]
        logs = {path.name: path.read_text()[-2000:] for path in folder.glob("*.log")}
        assert not dead, f"ended while {what} was awaited: {dead}\n{logs}"
        assert time.monotonic() < end, f"{what} did not come up in {START_SECONDS} s: {logs}"
        time.sleep(0.1)


def own_environment() -> dict[str, str]:
    """This process's environment without what points Pulumi or kubectl elsewhere."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PULUMI_") and key != "KUBECONFIG"
    }


def whole(value: Any) -> Any:
    """Pulumi's wire knows one kind of number; the API server wants whole ones written as such."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
