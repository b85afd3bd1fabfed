"""One API server per session; an engine with a backend of its own per test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.plugins.kubernetes.cluster import Cluster, Settings
from tests.infra.plugins import apiserver, pulumi_cli
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.pulumi_cli import Engine


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running API server with etcd and some controllers, for the whole session."""
    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as found:
        yield found


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Engine, language host and provider; the variables that point at them."""
    return pulumi_cli.install(tmp_path_factory.mktemp("pulumi"))


@pytest.fixture
def engine(tmp_path: Path, installed: dict[str, str]) -> Engine:
    """A project with an empty stack."""
    return Engine(tmp_path, installed)


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory, installed: dict[str, str]) -> Engine:
    """A project that the tests of a module share."""
    return Engine(tmp_path_factory.mktemp("shared"), installed)


@pytest.fixture
def cluster(server: ApiServer) -> Cluster:
    """The stand-in's own view of the API server, for tests without an engine."""
    return Cluster(Settings(kubeconfig=str(server.kubeconfig)))


_names = iter(range(10_000))


@pytest.fixture
def namespace(server: ApiServer) -> str:
    """A namespace of the test's own."""
    return server.namespace(f"test-{next(_names)}")


@contextmanager
def kubelet(server: ApiServer, namespace: str) -> Iterator[None]:
    """Play the kubelet of a namespace: every pod that appears is running and ready.

    The namespace need not exist yet.
    """
    stop = threading.Event()
    faults: list[Exception] = []

    def work() -> None:
        while not stop.wait(0.1):
            try:
                for pod in server.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
                    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
                    if pod["metadata"].get("deletionTimestamp"):
                        server.ask("DELETE", path, {"gracePeriodSeconds": 0})
                    elif pod["status"].get("phase") != "Running":
                        server.ask(
                            "PATCH",
                            f"{path}/status",
                            {"status": ready_status()},
                            content="application/merge-patch+json",
                        )
            except Exception as fault:
                faults.append(fault)
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not faults, faults


def ready_status() -> dict[str, object]:
    """The status of a pod that runs and is ready."""
    then = "2020-01-01T00:00:00Z"
    return {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": then}],
    }


Kubelet = Callable[[str], object]
