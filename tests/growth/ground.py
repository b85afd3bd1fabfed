"""Where growth is measured: an API server with pods that are only objects, or an environment.

A ground of its own has etcd, the API server, controllers, a scheduler, Argo Rollouts and kwok on
loopback ports. On an environment, kwok brings nodes of its own, and the real ones get no new pod
until the ground is left; nobody else may ship there meanwhile.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci import procfs
from ci.pipeline import models, rollouts, stacks
from ci.report import silent
from ci.toolchain import provide
from infra import contract, environment, names, places
from infra.contract import Contract, Pool
from infra.environment import Environment
from infra.models import release
from tests.ci.pipeline.test_canary_on_controller import (
    DEFINITIONS,
    controller,
    definitions,
    serves,
    until,
)
from tests.growth import house
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer, binary
from tests.system.house import Kubernetes

NODES = 4
FAKE = {"kwok.x-k8s.io/node": "fake"}
SIZE = {"cpu": "1000", "memory": "1Ti", "pods": "1000"}
PREFIX = "growth-"
"""What the names of all services and nodes of a measurement begin with."""

CONTROLLERS = (
    "node-lifecycle-controller",  # a node is taken for use once it says that it is ready
    "resourcequota-controller",
    "horizontal-pod-autoscaler-controller",
)

WAITED_FOR = (
    "/apis/traefik.io/v1alpha1/namespaces/models/traefikservices",
    "/apis/argoproj.io/v1alpha1/namespaces/models/rollouts",
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster without nodes yet: its environment and contract, and the ids of its processes."""

    env: Environment
    facts: Contract
    server: ApiServer
    processes: dict[str, int]

    def check(self) -> None:
        """Fail, instead of waiting for what will not come, when one of the processes has ended."""
        for name, pid in self.processes.items():
            assert procfs.lives(pid), f"{name} has ended"


@contextmanager
def own() -> Iterator[Environment]:
    """A cluster of its own for the environment `test`, with a few nodes."""
    with cluster(environment.load("test")) as made:
        for index in range(NODES):
            made.server.create("/api/v1/nodes", node(made.facts.pool("cpu"), f"{PREFIX}{index}"))
        yield made.env


@contextmanager
def cluster(env: Environment, *, requests_s: int | None = None) -> Iterator[Cluster]:
    """A cluster of its own for an environment, with a state folder of its own, without nodes.

    ``requests_s``: how many requests a second controllers and the scheduler may send, each; None
    leaves Kubernetes' own limits, as on a cluster that kubeadm made.
    """
    rate = _rate(requests_s)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-growth-")))
        (folder / "server").mkdir()
        server = stack.enter_context(apiserver.running(folder / "server", controller_flags=rate))
        processes = dict(server.processes)
        for document in definitions():
            server.create(DEFINITIONS, document)
        for path in WAITED_FOR:
            until(f"{path} is served", lambda: serves(server, path))  # noqa: B023
        processes["rollouts-controller"] = stack.enter_context(controller(server, folder))
        more = _process("more-controllers", _controllers(server.kubeconfig), folder)
        processes["more controllers"] = stack.enter_context(more)
        scheduler = [*_scheduler(server.kubeconfig), *rate]
        processes["kube-scheduler"] = stack.enter_context(_process("scheduler", scheduler, folder))
        stack.enter_context(_variable("XDG_STATE_HOME", str(folder / "state")))
        facts = contract.promised(env).model_copy(
            update={"api": server.url, "kubeconfig": server.kubeconfig, "promised": False}
        )
        contract.path(env.name).parent.mkdir(parents=True)
        contract.path(env.name).write_text(facts.model_dump_json())
        house.furnish(server, env, facts)
        stacks.prepare(env)
        (places.state(env.name) / "kubeconfig").write_text(server.kubeconfig.read_text())
        kwok = _process("kwok", _kwok(server.kubeconfig), folder)
        processes["kwok"] = stack.enter_context(kwok)
        yield Cluster(env=env, facts=facts, server=server, processes=processes)


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
            one["metadata"]["name"]
            for one in kubernetes.items("/api/v1/nodes")
            if facts.pool("cpu").labels.items() <= one["metadata"]["labels"].items()
        ]
        for host in real:
            stack.callback(_unschedulable, kubernetes, host, value=None)
            _unschedulable(kubernetes, host, value=True)
        stack.enter_context(_process("kwok", _kwok(facts.kubeconfig), folder))
        for index in range(NODES):
            name = f"{PREFIX}{index}"
            stack.callback(kubernetes.delete, f"/api/v1/nodes/{name}")
            kubernetes.create("/api/v1/nodes", node(facts.pool("cpu"), name))
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


def node(
    pool: Pool, name: str, *, taints: Sequence[str] = (), size: Mapping[str, str] = SIZE
) -> dict[str, Any]:
    """A node of a pool that is only an object, with more taints; ``size`` is what it offers."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": FAKE,
            "labels": pool.labels | {"kubernetes.io/hostname": name},
        },
        "spec": {"taints": [_taint(text) for text in [pool.taint, *taints] if text]},
        "status": {"capacity": size, "allocatable": size},
    }


def _taint(text: str) -> dict[str, str]:
    key, value, effect = names.taint(text)
    return {"key": key, "value": value, "effect": effect}


def _rate(requests_s: int | None) -> list[str]:
    if requests_s is None:
        return []
    return [f"--kube-api-qps={requests_s}", f"--kube-api-burst={2 * requests_s}"]


def _controllers(kubeconfig: Path) -> list[str]:
    """Controllers that start when the definitions are there: the autoscaler looks them up once."""
    return [
        str(binary("kubernetes", "kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        # Of 15 s by default: it decides when the pods are asked for, not how fast they come.
        "--horizontal-pod-autoscaler-sync-period=5s",
        # Of 50 s by default: on a busy machine kwok is late to say that its nodes live.
        "--node-monitor-grace-period=600s",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
    ]


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
        f"--config={Path(__file__).with_name('stages.yaml')}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={next(iter(FAKE))}={next(iter(FAKE.values()))}",
        "--node-lease-duration-seconds=40",
        "--server-address=127.0.0.1:0",
    ]


@contextmanager
def _process(name: str, command: list[str], folder: Path) -> Iterator[int]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        yield process.pid
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
