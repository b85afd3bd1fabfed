"""Where growth is measured: an API server with pods that are only objects, or an environment.

A ground of its own has etcd, the API server, controllers, a scheduler, Argo Rollouts and kwok on
loopback ports. On an environment, kwok brings nodes of its own, and the real ones get no new pod
until the ground is left; nobody else may ship there meanwhile.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ci.pipeline import models, rollouts, stacks
from ci.report import silent
from ci.toolchain import provide
from infra import contract, environment, places
from infra.contract import Contract
from infra.environment import Environment
from infra.models import release
from tests.ci.pipeline.test_canary_on_controller import (
    DEFINITIONS,
    controller,
    definitions,
    serves,
    until,
)
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import binary
from tests.system.house import Kubernetes

NODES = 4
FAKE = {"kwok.x-k8s.io/node": "fake"}
PREFIX = "growth-"
"""What the names of all services and nodes of a measurement begin with."""

WAITED_FOR = (
    "/apis/traefik.io/v1alpha1/namespaces/models/traefikservices",
    "/apis/argoproj.io/v1alpha1/namespaces/models/rollouts",
)


@contextmanager
def own() -> Iterator[Environment]:
    """A cluster of its own for the environment `test`, with a state folder of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-growth-")))
        (folder / "server").mkdir()
        server = stack.enter_context(apiserver.running(folder / "server"))
        server.namespace("models")
        for document in definitions():
            server.create(DEFINITIONS, document)
        for path in WAITED_FOR:
            until(f"{path} is served", lambda: serves(server, path))  # noqa: B023
        account = {"metadata": {"name": "model"}}
        server.create("/api/v1/namespaces/models/serviceaccounts", account)
        stack.enter_context(controller(server, folder))
        stack.enter_context(_process("scheduler", _scheduler(server.kubeconfig), folder))
        stack.enter_context(_variable("XDG_STATE_HOME", str(folder / "state")))
        loaded = environment.load("test")
        facts = contract.promised(loaded).model_copy(
            update={"api": server.url, "kubeconfig": server.kubeconfig, "promised": False}
        )
        contract.path(loaded.name).parent.mkdir(parents=True)
        contract.path(loaded.name).write_text(facts.model_dump_json())
        stacks.prepare(loaded)
        (places.state(loaded.name) / "kubeconfig").write_text(server.kubeconfig.read_text())
        stack.enter_context(_process("kwok", _kwok(server.kubeconfig), folder))
        for index in range(NODES):
            server.create("/api/v1/nodes", _node(facts, index))
        yield loaded


@contextmanager
def of(name: str) -> Iterator[Environment]:
    """An environment that is up; afterwards the services and nodes of the measurement are gone."""
    loaded = environment.load(name)
    facts = contract.load(loaded)
    kubernetes = Kubernetes(facts.kubeconfig)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-growth-")))
        stack.callback(kubernetes.close)
        real = [
            node["metadata"]["name"]
            for node in kubernetes.items("/api/v1/nodes")
            if facts.pool("cpu").labels.items() <= node["metadata"]["labels"].items()
        ]
        for node in real:
            stack.callback(_unschedulable, kubernetes, node, value=None)
            _unschedulable(kubernetes, node, value=True)
        stack.enter_context(_process("kwok", _kwok(facts.kubeconfig), folder))
        for index in range(NODES):
            node = _node(facts, index)
            stack.callback(kubernetes.delete, f"/api/v1/nodes/{node['metadata']['name']}")
            kubernetes.create("/api/v1/nodes", node)
        stack.callback(_empty, loaded)
        yield loaded


def _empty(env: Environment) -> None:
    for one in release.releases(env):
        if one.name.startswith(PREFIX):
            release.remove(env, one.name)
    models.up(env, silent)
    left = {one.name: None for one in release.releases(env)}
    rollouts.wait_for_all(env, left, silent)


def _unschedulable(kubernetes: Kubernetes, node: str, *, value: bool | None) -> None:
    kubernetes.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": value}})


def _node(facts: Contract, index: int) -> dict[str, Any]:
    name = f"{PREFIX}{index}"
    labels = facts.pool("cpu").labels | {"kubernetes.io/hostname": name}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": FAKE, "labels": labels},
    }


def _scheduler(kubeconfig: Path) -> list[str]:
    return [
        str(binary("kubernetes", "kube-scheduler")),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
    ]


def _kwok(kubeconfig: Path) -> list[str]:
    program = provide.family("kwok", silent).file("bin/kwok")
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={next(iter(FAKE))}={next(iter(FAKE.values()))}",
        "--node-lease-duration-seconds=40",
        "--server-address=127.0.0.1:0",
    ]


@contextmanager
def _process(name: str, command: list[str], folder: Path) -> Iterator[None]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        yield
        assert process.poll() is None, f"{name} ended:\n{log.read_text()[-2000:]}"
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
