"""The simulated GPU pool keeps its promises, also after its node's kubelet was restarted."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.system.house import CONFINED, LOCKED, NAME, House, Kubernetes, run, told, until

pytestmark = pytest.mark.system

GPU = "nvidia.com/gpu"
NODE = "gpu-1"
CONTAINER = f"modelyard-{NAME}-{NODE}"
TOLERATION = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}

Pod = dict[str, Any]
Ask = Callable[..., Pod]


def ready(node: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def heartbeat(kubernetes: Kubernetes) -> str:
    """When the GPU node's kubelet last told its state; a new kubelet tells it when it starts."""
    (found,) = (
        condition["lastHeartbeatTime"]
        for condition in kubernetes.get(f"/api/v1/nodes/{NODE}")["status"]["conditions"]
        if condition["type"] == "Ready"
    )
    return str(found)


def advertised(kubernetes: Kubernetes) -> dict[str, int]:
    """GPUs that may be allocated, by node."""
    return {
        node["metadata"]["name"]: int(node["status"]["allocatable"].get(GPU, 0))
        for node in kubernetes.items("/api/v1/nodes")
    }


@pytest.fixture(scope="module", params=["as it came up", "after a kubelet restart"])
def pool(request: pytest.FixtureRequest, house: House, kubernetes: Kubernetes) -> int:
    """How many GPUs the pool has; each promise is checked before and after a kubelet restart."""
    want = house.environment.pool("gpu").gpus_per_node
    if request.param == "after a kubelet restart":
        before = heartbeat(kubernetes)
        restarted = run("docker", "exec", CONTAINER, "systemctl", "restart", "kubelet", timeout=60)
        assert restarted.returncode == 0, told(restarted)
        until(
            "the node is ready and advertises its GPUs again",
            # Until the new kubelet speaks, the node shows what the old one said.
            lambda: (
                heartbeat(kubernetes) != before
                and ready(kubernetes.get(f"/api/v1/nodes/{NODE}"))
                and advertised(kubernetes)[NODE] == want
            ),
        )
    return want


@pytest.fixture
def ask(house: House, kubernetes: Kubernetes, namespace: str) -> Iterator[Ask]:
    """Make pods of the pause image; at the end all of them are gone and their GPUs free."""
    pods = f"/api/v1/namespaces/{namespace}/pods"

    def make(
        *,
        gpus: int = 0,
        tolerates: bool = False,
        labels: dict[str, str] | None = None,
        selects_pool: bool = True,
    ) -> Pod:
        selector = dict(labels or {})
        requests = {"cpu": "10m", "memory": "8Mi"}
        limits = {"memory": "16Mi"}
        if gpus:
            limits[GPU] = str(gpus)
        if gpus and selects_pool:
            selector |= {"modelyard.dev/kind": "gpu"}  # the policies let nobody ask elsewhere
        container: dict[str, Any] = {
            "name": "pause",
            "image": house.contract.images["pause"].pinned,
            "imagePullPolicy": "Never",
            "resources": {"requests": requests, "limits": limits},
            "securityContext": LOCKED,
        }
        pod: Pod = kubernetes.create(
            pods,
            {
                "metadata": {"name": f"asks-{secrets.token_hex(3)}"},
                "spec": {
                    "containers": [container],
                    "tolerations": [TOLERATION] if tolerates else [],
                    "nodeSelector": selector,
                    "restartPolicy": "Never",
                    "securityContext": CONFINED,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 0,
                },
            },
        )
        return pod

    yield make
    for pod in kubernetes.items(pods):
        kubernetes.delete(f"{pods}/{pod['metadata']['name']}")
    until("the pods are gone", lambda: not kubernetes.items(pods))


def look(kubernetes: Kubernetes, pod: Pod) -> Pod:
    meta = pod["metadata"]
    found: Pod = kubernetes.get(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}")
    return found


def running(kubernetes: Kubernetes, pod: Pod) -> Pod:
    """The pod once it runs."""

    def seen() -> Pod | None:
        found = look(kubernetes, pod)
        assert found["status"]["phase"] != "Failed", found["status"]
        return found if found["status"]["phase"] == "Running" else None

    return until(f"{pod['metadata']['name']} runs", seen)


def refused_by_the_scheduler(kubernetes: Kubernetes, pod: Pod) -> str:
    """What the scheduler says of a pod that it cannot place; the pod has no node."""

    def seen() -> str | None:
        found = look(kubernetes, pod)
        assert "nodeName" not in found["spec"], f"it landed on {found['spec']['nodeName']}"
        for condition in found["status"].get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return str(condition["message"])
        return None

    return until("the scheduler has given its reason", seen)


def test_only_the_gpu_node_advertises_gpus(kubernetes: Kubernetes, pool: int) -> None:
    assert {name: n for name, n in advertised(kubernetes).items() if n} == {NODE: pool}


def test_a_pod_that_asks_for_a_gpu_runs_on_the_gpu_node(
    kubernetes: Kubernetes, pool: int, ask: Ask
) -> None:
    pods = [ask(gpus=1, tolerates=True) for _ in range(pool)]

    assert {running(kubernetes, pod)["spec"]["nodeName"] for pod in pods} == {NODE}


def test_one_pod_too_many_stays_pending_and_says_why(
    kubernetes: Kubernetes, pool: int, ask: Ask
) -> None:
    running(kubernetes, ask(gpus=pool, tolerates=True))

    reason = refused_by_the_scheduler(kubernetes, ask(gpus=1, tolerates=True))

    assert f"Insufficient {GPU}" in reason


def test_a_pod_that_was_too_many_runs_once_a_gpu_is_free(
    kubernetes: Kubernetes, pool: int, ask: Ask
) -> None:
    first = running(kubernetes, ask(gpus=pool, tolerates=True))
    second = ask(gpus=1, tolerates=True)
    refused_by_the_scheduler(kubernetes, second)

    meta = first["metadata"]
    kubernetes.delete(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}")

    assert running(kubernetes, second)["spec"]["nodeName"] == NODE


def test_a_pod_that_asks_for_a_gpu_outside_of_gpu_pools_is_refused_at_once(
    pool: int, ask: Ask
) -> None:
    with pytest.raises(AssertionError, match=r"pause: asks for nvidia\.com/gpu"):
        ask(gpus=1, tolerates=True, selects_pool=False)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_pod_without_toleration_never_lands_on_the_gpu_node(
    kubernetes: Kubernetes, pool: int, ask: Ask, gpus: int
) -> None:
    pod = ask(gpus=gpus, labels={"kubernetes.io/hostname": NODE})

    assert "untolerated taint" in refused_by_the_scheduler(kubernetes, pod)


def test_yard_status_says_that_the_pool_is_simulated(house: House, pool: int) -> None:
    told_pools = {entry["kind"]: entry for entry in house.status()["pools"]}

    assert told_pools["gpu"]["simulated"] is True
    assert told_pools["cpu"]["simulated"] is False
