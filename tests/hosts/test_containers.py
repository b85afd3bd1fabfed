"""What a node container may do to the machine that it runs on, and how it comes back."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from testinfra.host import Host

from ci.pipeline import engine, hosts, node_probe
from infra.environment import Environment
from tests.hosts.conftest import Kubectl

pytestmark = pytest.mark.hosts
NODES = ("control-1", "cpu-1", "gpu-1")
Find = Callable[[str], Container]
Reach = Callable[[str], Host]


def test_every_published_port_listens_on_this_machine_only(
    env: Environment, container: Find
) -> None:
    bound = {
        (one["HostIp"], one["HostPort"], port)
        for node in NODES
        for port, addresses in container(node).attrs["NetworkSettings"]["Ports"].items()
        for one in addresses or []
    }

    assert bound == {
        ("127.0.0.1", str(env.published.api), "6443/tcp"),
        ("127.0.0.1", str(env.published.gateway), f"{env.node_ports.gateway}/tcp"),
        ("127.0.0.1", str(env.published.registry), f"{env.node_ports.registry}/tcp"),
    }


@pytest.mark.parametrize("node", NODES)
def test_a_node_has_the_address_that_the_environment_gives_it(
    env: Environment, container: Find, node: str
) -> None:
    wanted = {one.name: one.address for one in env.nodes()}
    networks = container(node).attrs["NetworkSettings"]["Networks"]

    assert {name: one["IPAddress"] for name, one in networks.items()} == {
        f"modelyard-{env.name}": wanted[node]
    }


@pytest.mark.parametrize("node", NODES)
def test_a_node_can_set_neither_the_clock_nor_the_machines_limits(
    container: Find, reach: Reach, node: str
) -> None:
    assert container(node).attrs["HostConfig"]["Privileged"] is False
    status = reach(node).file("/proc/1/status").content_string
    permitted = int(status.split("CapBnd:")[1].split()[0], 16)

    for capability in (24, 25):  # CAP_SYS_RESOURCE, CAP_SYS_TIME
        assert not permitted & (1 << capability)


@pytest.mark.parametrize("setting", ["kernel/panic", "vm/overcommit_memory", "kernel/pid_max"])
def test_a_node_cannot_change_a_setting_of_the_machines_kernel(
    container: Find, setting: str
) -> None:
    path = Path("/proc/sys", setting)
    before = path.read_text()
    # As root in the node: the first is a file in its place, the last is read-only.
    container("gpu-1").exec_run(["sh", "-c", f"echo 77 > {path}"])

    assert path.read_text() == before


def test_all_that_is_made_bears_the_environments_label(
    env: Environment, engine_client: docker.DockerClient
) -> None:
    name = f"modelyard-{env.name}"
    label = {"label": f"{engine.LABEL}={env.name}"}

    networks = {one.name for one in engine_client.networks.list(filters=dict(label))}
    volumes = {one.name for one in engine_client.volumes.list(filters=dict(label))}

    assert networks == {name}
    assert volumes == {f"{name}-{node}-{part}" for node in NODES for part in ("var", "kubernetes")}


def test_a_node_whose_first_process_dies_comes_back_and_is_ready(
    env: Environment, container: Find, kubectl: Kubectl
) -> None:
    node = container("gpu-1")
    first = node.attrs["State"]["Pid"]
    os.kill(first, signal.SIGKILL)

    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        node.reload()
        if node.attrs["State"]["Pid"] not in {0, first} and not _faults(env):
            break
        time.sleep(1)

    assert node.attrs["State"]["Pid"] != first
    assert _faults(env) == {}
    kubectl("wait", "--for=condition=Ready", "--timeout=120s", "node/gpu-1", plain=True)
    # Nobody has to run Ansible for that.
    assert hosts.agrees(env)


def _faults(env: Environment) -> dict[str, str]:
    return node_probe.probe(env).faults
