"""drivers.yml over two GPU hosts: in turn, within budgets, and not past one that is ill.

The tests build on each other: one is drained in vain, one breaks, one is mended, all are done.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.hosts import rolling
from tests.hosts import driver_ground, outcomes
from tests.hosts.driver_ground import BROKEN, HOSTS, NEW, OLD, Ground
from tests.hosts.gpus import THERE
from tests.system.house import until

pytestmark = pytest.mark.scenarios
CORE, APPS = "/api/v1/namespaces", "/apis/apps/v1/namespaces"
BUDGET = "/apis/policy/v1/namespaces/models/poddisruptionbudgets"
LABELS = {"app": "chat"}
SELECTOR = {"matchLabels": LABELS}
TEMPLATE = {
    "metadata": {"labels": LABELS},
    "spec": {
        "terminationGracePeriodSeconds": 0,  # there is no kubelet to end it
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "chat", "image": "simulated"}],
    },
}
SOON = ("--extra-vars", "upgrade_patience=6")


def _start(ground: Ground, namespace: str, count: int, node: str = "") -> None:
    """Do the scheduler's and the kubelet's work for pods: each gets its node, and is ready."""
    path = f"{CORE}/{namespace}/pods"
    until("pods are made", lambda: len(ground.server.get(path)["items"]) == count)
    for pod in ground.server.get(path)["items"]:
        name, target = pod["metadata"]["name"], node or _meant_for(pod)
        binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": target}}
        ground.server.create(f"{path}/{name}/binding", binding)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        ground.server.status(f"{path}/{name}", ready)


def _meant_for(pod: dict[str, Any]) -> str:
    affinity = pod["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    name: str = terms[0]["matchFields"][0]["values"][0]
    return name


def _allow(ground: Ground, disruptions: int) -> None:
    """What the disruption controller says of the budget."""
    generation = ground.server.get(f"{BUDGET}/chat")["metadata"]["generation"]
    counts = {"currentHealthy": 1, "desiredHealthy": 1 - disruptions, "expectedPods": 1}
    said = {"observedGeneration": generation, "disruptionsAllowed": disruptions, **counts}
    ground.server.status(f"{BUDGET}/chat", said)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The hosts, a DaemonSet of Kubernetes on both, and a model on gpu-1 with a budget."""
    with driver_ground.ground(tmp_path_factory.mktemp("drivers")) as made:
        server = made.server
        account = f"{CORE}/kube-system/serviceaccounts/default"
        until("accounts are made", lambda: server.find(account) is not None)
        daemons = {"selector": SELECTOR, "template": TEMPLATE}
        server.create(
            f"{APPS}/kube-system/daemonsets", {"metadata": {"name": "proxy"}, "spec": daemons}
        )
        _start(made, "kube-system", 2)
        server.namespace("models")
        account = f"{CORE}/models/serviceaccounts/default"
        until("accounts are made", lambda: server.find(account) is not None)
        named = {"metadata": {"name": "chat"}}
        copies = {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}
        server.create(f"{APPS}/models/replicasets", named | {"spec": copies})
        _start(made, "models", 1, "gpu-1")
        server.create(BUDGET, named | {"spec": {"minAvailable": 1, "selector": SELECTOR}})
        _allow(made, 0)
        yield made


def state(ground: Ground, name: str) -> tuple[str, str, bool, str]:
    """Driver that runs, driver that is installed, whether pods may come, mark of a change."""
    host = ground.host(name)
    running = host.run(f"{THERE}/nvidia-smi").stdout.strip()
    package = "dpkg-query --show --showformat='${Version}' nvidia-kernel-open-dkms"
    node = ground.server.get(f"/api/v1/nodes/{name}")
    mark = node["metadata"].get("annotations", {}).get(rolling.CHANGING_DRIVER, "")
    installed = host.run(package).stdout.strip().split("-")[0]
    return running, installed, not node["spec"].get("unschedulable", False), mark


BEFORE = (OLD, "", True, "")
AFTER = (NEW, NEW, True, "")


def test_a_rehearsal_says_drivers_and_order_and_changes_nothing(ground: Ground) -> None:
    code, said = ground.play("drivers", "--check")

    assert code == 0, said
    assert f"1 gpu-1 driver {OLD} -> {NEW} to do" in said
    assert f"2 gpu-2 driver {OLD} -> {NEW} to do" in said
    assert said.count("changed=0 ") == said.count("changed="), said
    assert [state(ground, name) for name in HOSTS] == [BEFORE, BEFORE]


def test_a_version_that_is_not_in_the_table_is_refused_before_any_host_is_touched(
    ground: Ground,
) -> None:
    code, said = ground.play("drivers", "--extra-vars", "nvidia_driver_version=1.2")

    assert code == 2
    assert "ansible/gpu-drivers.yml lists driver with 535" in said
    assert [state(ground, name) for name in HOSTS] == [BEFORE, BEFORE]


def test_a_budget_keeps_a_host_and_the_host_stays_as_it_was(ground: Ground) -> None:
    code, said = ground.play("drivers", *SOON)

    assert code == 2
    assert "gpu-1 was not drained and is as it was" in said
    assert "disruption budget" in said
    assert [state(ground, name) for name in HOSTS] == [BEFORE, BEFORE]


def test_a_host_whose_driver_does_not_come_back_stops_it(ground: Ground) -> None:
    _allow(ground, 1)
    outcomes.said(ground.host("gpu-1"), f"touch {BROKEN}")

    code, said = ground.play("drivers")

    assert code == 2
    assert "gpu-1 did not come back healthy" in said
    assert f"no driver drives the GPUs, not {NEW}" in said
    assert state(ground, "gpu-1") == ("", NEW, False, "open")
    assert state(ground, "gpu-2") == BEFORE
    pods = ground.server.get(f"{CORE}/models/pods")["items"]
    assert [pod["spec"].get("nodeName", "") for pod in pods] == [""]


def test_run_again_it_goes_on_there_and_stops_at_a_node_that_was_not_heard_of_since(
    ground: Ground,
) -> None:
    outcomes.said(ground.host("gpu-1"), f"rm {BROKEN}")
    info = {"kubeletVersion": f"v{driver_ground.KUBERNETES}", "bootID": "another start"}
    ground.node("gpu-2", nodeInfo=info)

    code, said = ground.play("drivers", *SOON)

    assert code == 2
    assert f"1 gpu-1 driver none, {NEW} installed -> {NEW} begun" in said
    assert "gpu-2 did not come back healthy: Wait until the node is ready" in said
    assert state(ground, "gpu-1") == AFTER
    assert state(ground, "gpu-2") == (NEW, NEW, False, "open")


def test_a_node_that_does_not_offer_its_gpus_again_is_not_well(ground: Ground) -> None:
    ground.node("gpu-2", allocatable={"nvidia.com/gpu": "7", "pods": "110"})

    code, said = ground.play("drivers", *SOON)

    assert code == 2
    assert f"1 gpu-2 driver {NEW} -> {NEW} begun" in said
    assert "gpu-2 did not come back healthy: Wait until the node offers its GPUs" in said


def test_the_last_run_completes_it_and_another_changes_nothing(ground: Ground) -> None:
    ground.node("gpu-2")

    code, said = ground.play("drivers")

    assert code == 0, said
    assert [state(ground, name) for name in HOSTS] == [AFTER, AFTER]
    code, said = ground.play("drivers")
    assert code == 0, said
    assert said.count("changed=0 ") == said.count("changed="), said
    assert f"2 gpu-2 driver {NEW} done" in said


def test_a_host_that_somebody_cordoned_stays_cordoned(ground: Ground) -> None:
    node = "/api/v1/nodes/gpu-1"
    ground.server.patch(node, {"spec": {"unschedulable": True}})
    host = ground.host("gpu-1")
    outcomes.said(host, f"echo {OLD} > {THERE}/sys/module/nvidia/version")

    code, said = ground.play("drivers", "--limit", "gpu-1")

    assert code == 0, said
    assert state(ground, "gpu-1") == (NEW, NEW, False, "")
