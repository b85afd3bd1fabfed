"""What bad luck strikes: processes of pods and nodes, as this machine sees them."""

import os
import signal
from pathlib import Path
from typing import Any

import docker

from ci.pipeline import engine, node_probe
from infra.environment import Environment
from tests.system.house import Kubernetes

Pod = dict[str, Any]


def pods(kubernetes: Kubernetes, namespace: str, selector: str) -> list[Pod]:
    """Pods that are not on their way out."""
    found = kubernetes.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def ready(pod: Pod) -> bool:
    """Whether a pod takes requests."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", [])
    )


def processes(pod: Pod, container: str | None = None) -> list[int]:
    """Processes of a pod's containers, or of one of them; raises when there are none."""
    wanted = [
        status["containerID"].removeprefix("containerd://")
        for status in pod["status"]["containerStatuses"]
        if container in (None, status["name"])
    ]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            groups = (folder / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if any(identifier in groups for identifier in wanted):
            found.append(int(folder.name))
    assert found, f"{pod['metadata']['name']} has no processes on this machine"
    return sorted(found)


def strike(pod: Pod, container: str | None = None, with_: int = signal.SIGKILL) -> None:
    """Send a signal to all processes of a pod's containers."""
    for process in processes(pod, container):
        os.kill(process, with_)


def restarts(pod: Pod) -> int:
    """How often containers of a pod were started again."""
    return sum(status["restartCount"] for status in pod["status"]["containerStatuses"])


class Machine:
    """The container engine and the environment's nodes in it."""

    def __init__(self, env: Environment) -> None:
        self.env = env

    def node(self, name: str) -> dict[str, Any]:
        """A node's container as the engine describes it."""
        connection = engine.client()
        try:
            container = connection.containers.get(node_probe.container_name(self.env, name))
            found: dict[str, Any] = container.attrs
            return found
        finally:
            connection.close()

    def bridge(self) -> str:
        """The network interface that joins the nodes."""
        (network,) = self.node("control-1")["NetworkSettings"]["Networks"].values()
        return f"br-{network['NetworkID'][:12]}"

    def first_process(self, node: str) -> int:
        """The node's PID 1 as this machine numbers it; 0 when it does not run."""
        return int(self.node(node)["State"]["Pid"])

    def strangers(self) -> list[str]:
        """Containers that are not the environment's."""
        connection = engine.client()
        try:
            return [
                str(one.name)
                for one in connection.containers.list(all=True)
                if one.labels.get(engine.LABEL) != self.env.name
            ]
        finally:
            connection.close()

    def kill(self, node: str) -> None:
        """What `docker kill` does: the engine then leaves the container stopped."""
        connection: docker.DockerClient = engine.client()
        try:
            connection.containers.get(node_probe.container_name(self.env, node)).kill()
        finally:
            connection.close()

    def healthy(self) -> bool:
        """Whether every node runs what it should."""
        return node_probe.probe(self.env).healthy
