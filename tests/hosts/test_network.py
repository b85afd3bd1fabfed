"""Pods of different nodes reach each other, by address, by Service and by DNS name."""

import json
import time
from collections.abc import Iterator

import pytest

from infra import contract
from infra.environment import Environment
from tests.hosts import machines
from tests.hosts.conftest import Kubectl
from tests.system.house import until

pytestmark = pytest.mark.hosts
NAMESPACE = "hosts-test"


@pytest.fixture(scope="module")
def asker(env: Environment, kubectl: Kubectl) -> Iterator[str]:
    """A pod on cpu-1; CoreDNS, which it asks, runs on another node or on its own."""
    image = contract.load(env).images["modelyard/shell"].pinned
    kubectl("create", "namespace", NAMESPACE)
    pod = machines.sleeper("cpu-1", {"name": "asker", "namespace": NAMESPACE}, image)
    kubectl("apply", "--filename", "-", text=json.dumps(pod))
    kubectl(
        "wait",
        "--namespace",
        NAMESPACE,
        "--for=condition=Ready",
        "--timeout=120s",
        "pod/asker",
        plain=True,
    )
    yield "asker"
    kubectl("delete", "namespace", NAMESPACE, "--wait=false", plain=True)


def _ask(kubectl: Kubectl, *command: str) -> str:
    return str(kubectl("exec", "--namespace", NAMESPACE, "asker", "--", *command, plain=True))


def test_a_pod_finds_a_service_by_its_name(env: Environment, kubectl: Kubectl, asker: str) -> None:
    answer = _ask(kubectl, "getent", "hosts", "kubernetes.default.svc.cluster.local")

    first = env.network.services.replace(".0.0/16", ".0.1")
    assert answer.split()[0] == first


def test_a_pod_reaches_the_pod_of_another_node_by_address(kubectl: Kubectl, asker: str) -> None:
    # Its node may just have come back from another test: the pod gets an address, then listens.
    until("CoreDNS on another node answers", lambda: "200 OK" in _health(kubectl))


def _health(kubectl: Kubectl) -> str:
    pods = kubectl("get", "pods", "--namespace", "kube-system", "--selector", "k8s-app=kube-dns")
    others = [pod for pod in pods["items"] if pod["spec"]["nodeName"] != "cpu-1"]
    assert others, "no pod of CoreDNS runs on another node: the test cannot tell anything"
    address = others[0]["status"].get("podIP")
    request = "printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    return _ask(kubectl, "bash", "-c", f"(exec 3<>/dev/tcp/{address}/8080; {request}) 2>&1 || true")


def test_a_pod_reaches_the_api_server_through_its_service(kubectl: Kubectl, asker: str) -> None:
    talk = "exec 3<>/dev/tcp/kubernetes.default.svc.cluster.local/443 && echo reached"

    assert _ask(kubectl, "bash", "-c", talk).strip() == "reached"


def test_a_host_pulls_from_the_environments_registry_and_trusts_it(
    env: Environment, kubectl: Kubectl
) -> None:
    """Without the pull account the registry refuses; it is reached by name and believed first."""
    absent = f"registry.modelyard.internal/absent@sha256:{0:064}"
    pod = machines.sleeper("cpu-1", {"name": "puller", "namespace": "default"}, absent)
    kubectl("apply", "--filename", "-", text=json.dumps(pod))
    message = ""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and "registry" not in message:
        status = kubectl("get", "pod", "puller")["status"]
        waiting = [one["state"].get("waiting", {}) for one in status.get("containerStatuses", [])]
        message = " ".join(one.get("message", "") for one in waiting)
        time.sleep(1)
    kubectl("delete", "pod", "puller", "--now", plain=True)

    assert "401" in message or "authorization" in message, message
    assert "x509" not in message
