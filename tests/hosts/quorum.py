"""The environment `quorum`: three control planes, two workers, and bad luck for any of them."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from testinfra.host import Host

from ci.pipeline import node_probe
from infra.environment import Environment
from tests.hosts import machines, outcomes

CONTROLS = ("control-1", "control-2", "control-3")
WORKERS = ("cpu-1", "cpu-2")
ADMIN = "/etc/kubernetes/admin.conf"
BORROWED = "/run/admin.conf"
PATIENCE_S = 300
MEMBERS = """
import json, ssl, urllib.request as web
folder = "/etc/kubernetes/pki/etcd/"
context = ssl.create_default_context(cafile=folder + "ca.crt")
context.load_cert_chain(folder + "healthcheck-client.crt", folder + "healthcheck-client.key")
url = "https://127.0.0.1:2379/v3/cluster/member/list"
print(web.urlopen(web.Request(url, b"{}"), context=context, timeout=9).read().decode())
"""


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    """The environment `quorum`: hosts and cluster, no platform."""
    with machines.cluster("quorum") as found:
        yield found


@pytest.fixture(scope="module")
def reach(env: Environment) -> Callable[[str], Host]:
    return partial(machines.host, env)


@pytest.fixture(scope="module")
def worker(env: Environment, reach: Callable[[str], Host]) -> Callable[..., str]:
    """kubectl on cpu-1, which has nothing but its own balancer to reach an API server by."""
    settings = outcomes.said(reach("control-3"), f"cat {ADMIN}")
    assert "server: https://127.0.0.1:7443" in settings
    inside = ["docker", "exec", "-i", node_probe.container_name(env, "cpu-1")]
    keep = [*inside, "sh", "-c", f"umask 077 && cat > {BORROWED}"]
    subprocess.run(keep, input=settings, text=True, check=True)

    def kubectl(*arguments: str, text: str = "") -> str:
        command = [*inside, "kubectl", f"--kubeconfig={BORROWED}", "--request-timeout=10s"]
        done = subprocess.run([*command, *arguments], input=text, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    return kubectl


def kill(env: Environment, *nodes: str) -> None:
    """End nodes at once; their disks stay."""
    names = [node_probe.container_name(env, node) for node in nodes]
    subprocess.run(["docker", "kill", *names], check=True, capture_output=True)


def start(env: Environment, *nodes: str) -> None:
    """Start killed nodes again."""
    names = [node_probe.container_name(env, node) for node in nodes]
    subprocess.run(["docker", "start", *names], check=True, capture_output=True)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for what takes Kubernetes its time; a question that fails is asked again."""
    deadline, trouble = time.monotonic() + PATIENCE_S, ""
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except RuntimeError as error:
            trouble = str(error)
        time.sleep(1)
    pytest.fail(f"{what} not within {PATIENCE_S} s. {trouble}")


def ready(kubectl: Callable[..., str]) -> dict[str, bool]:
    """Readiness of nodes, as the API server sees it."""
    return {
        item["metadata"]["name"]: condition["status"] == "True"
        for item in json.loads(kubectl("get", "nodes", "--output=json"))["items"]
        for condition in item["status"]["conditions"]
        if condition["type"] == "Ready"
    }


def voters(host: Host) -> set[str]:
    """Names of etcd's members that have started and vote, as one of them tells."""
    done = host.run("python3 -c %s", MEMBERS)
    if done.rc:
        raise RuntimeError(done.stderr)
    listed = json.loads(done.stdout)["members"]
    assert len({one["ID"] for one in listed}) == len(listed)
    return {one.get("name", "not started") for one in listed if not one.get("isLearner")}
