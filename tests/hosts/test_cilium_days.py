"""What is done to a cluster after its first day, on Cilium: its policies hold through all of it.

On the environment `fenced`, which begins at the older version of Kubernetes: the tests name that in
its file, and put the file back for the upgrade. Each goes on where the one before it left off.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ci.pipeline import hosts, playbook
from ci.report import silent
from infra import environment, places
from infra.environment import Environment
from tests.hosts import fenced, machines, outcomes
from tests.hosts.fenced import CLOSED, OPEN, Kubectl
from tests.system.house import until

pytestmark = pytest.mark.scenarios
FILE = places.REPOSITORY / f"Pulumi.{fenced.NAME}.yaml"
OLD, NEW = "1.35", "1.36"
NODES = ("control-1", "cpu-1")
ASKERS = ("friend", "stranger")
REHEARSAL = ("--check", "--diff")
# Tries the Service of all servers for ever, and says each time what came of it. Only the word
# counts: a Service keeps the address of a pod that is gone for a while, and anything may answer.
WATCH = (
    f"while sleep 0.2; do timeout 5 bash -c 'exec 3<>/dev/tcp/$SERVER_SERVICE_HOST/{OPEN}"
    " && read -r word <&3 && [ $word = served ]' 2> /dev/null && echo open || echo shut; done"
)
ALLOWED = {("friend", one, other, OPEN) for one in NODES for other in NODES}
"""Connections that the policy allows: asker, its node, the server's node, port."""


@pytest.fixture(scope="module")
def committed() -> Iterator[str]:
    """The environment's file as it is, and is again in the end: it names no version."""
    before = FILE.read_text()
    try:
        yield before
    finally:
        FILE.write_text(before)


@pytest.fixture(scope="module")
def old(committed: str) -> Iterator[None]:
    """Hosts and cluster at the older version, no platform."""
    FILE.write_text(committed.replace("    supply:", f'    kubernetes: "{OLD}"\n    supply:'))
    with machines.cluster(fenced.NAME):
        yield


@pytest.fixture
def env(old: None) -> Environment:
    """The environment as its file has it now."""
    return environment.load(fenced.NAME)


@pytest.fixture(scope="module")
def kubectl(old: None) -> Kubectl:
    return machines.kubectl(environment.load(fenced.NAME), timeout_s=400)


@pytest.fixture(scope="module")
def ground(old: None, kubectl: Kubectl) -> None:
    """A server, a friend and a stranger on every node, and the policy that tells them apart."""
    _populate(environment.load(fenced.NAME), kubectl)


def _populate(env: Environment, kubectl: Kubectl) -> None:
    kubectl("create", "namespace", fenced.NAMESPACE)
    # Before pods, which then find its address in their environment.
    service = {"selector": {"role": "server"}, "ports": [{"port": OPEN}]}
    document = {"apiVersion": "v1", "kind": "Service", "metadata": fenced.meta("server")}
    kubectl("apply", "--filename=-", text=json.dumps(document | {"spec": service}))
    fenced.restrict(kubectl, "friends", fenced.FRIENDS)
    watchers = [fenced.asker(env, name, "", ["bash", "-c", WATCH]) for name in ASKERS]
    for pod in (fenced.server(env, ""), *watchers):
        kubectl("apply", "--filename=-", text=json.dumps(_everywhere(pod)))
    _settle(kubectl)


def _namespace() -> str:
    return f"--namespace={fenced.NAMESPACE}"


def _everywhere(pod: dict[str, Any]) -> dict[str, Any]:
    """A DaemonSet with such a pod on every node."""
    labels = pod["metadata"]["labels"]
    spec = pod["spec"] | {"restartPolicy": "Always", "tolerations": [{"operator": "Exists"}]}
    del spec["nodeName"]
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": pod["metadata"],
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def _settle(kubectl: Kubectl) -> None:
    """Wait until every node has its pods, and exactly what is allowed opens."""
    for name in ("server", *ASKERS):
        kubectl("rollout", "status", f"daemonset/{name}", _namespace(), "--timeout=300s")
    until("friends reach servers, and nobody else does", lambda: _open(kubectl) == ALLOWED)


def _pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Pods that are ready and stay."""
    listed = json.loads(kubectl("get", "pods", _namespace(), "--output=json"))["items"]
    return [
        pod
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod["status"].get("conditions", [])
        )
    ]


def _open(kubectl: Kubectl) -> set[tuple[str, str, str, int]]:
    """Every connection that opens, as ALLOWED has them."""
    pods = _pods(kubectl)
    servers = [pod for pod in pods if pod["metadata"]["labels"]["role"] == "server"]
    tries = [
        (asker, server, port)
        for asker in pods
        for server in servers
        for port in (OPEN, CLOSED)
        if asker not in servers
    ]

    def opens(one: tuple[dict[str, Any], dict[str, Any], int]) -> bool:
        asker, server, port = one
        return fenced.reaches(kubectl, asker["metadata"]["name"], server["status"]["podIP"], port)

    with ThreadPoolExecutor(8) as pool:
        found = zip(tries, pool.map(opens, tries), strict=True)
        return {
            (
                asker["metadata"]["labels"]["role"],
                asker["spec"]["nodeName"],
                server["spec"]["nodeName"],
                port,
            )
            for (asker, server, port), opened in found
            if opened
        }


def _said(kubectl: Kubectl, role: str, since: str) -> set[str]:
    """What came of all tries of such pods since a moment."""
    words = ("--tail=-1", f"--since-time={since}", f"--selector=role={role}")
    return set(kubectl("logs", _namespace(), *words).split())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _kubelets(kubectl: Kubectl) -> dict[str, str]:
    """Minor version of each node."""
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"].rsplit(".", 1)[0]
        for node in json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    }


def _names(kubectl: Kubectl, kind: str) -> set[str]:
    listed = kubectl("get", kind, "--all-namespaces", "--output=json")
    return {one["metadata"]["name"] for one in json.loads(listed)["items"]}


@pytest.mark.usefixtures("ground")
def test_nodes_go_up_a_minor_version_and_no_connection_is_lost_or_let_in(
    committed: str, kubectl: Kubectl
) -> None:
    assert _kubelets(kubectl) == dict.fromkeys(NODES, f"v{OLD}")
    FILE.write_text(committed)
    env, began = environment.load(fenced.NAME), _now()

    hosts.tell(env, hosts.archives(env, silent), silent)
    playbook.run(env, "upgrade", silent)

    assert _kubelets(kubectl) == dict.fromkeys(NODES, f"v{NEW}")
    assert _said(kubectl, "friend", began) == {"open"}
    assert _said(kubectl, "stranger", began) == {"shut"}
    assert _open(kubectl) == ALLOWED


@pytest.mark.usefixtures("ground")
def test_pods_that_are_made_after_the_upgrade_are_told_apart_too(kubectl: Kubectl) -> None:
    kubectl("delete", "pods", "--all", _namespace())

    _settle(kubectl)


@pytest.mark.usefixtures("ground")
def test_a_second_run_over_the_newer_version_changes_nothing(env: Environment) -> None:
    assert machines.changes(env, "hosts") == []


@pytest.mark.usefixtures("ground")
def test_a_worker_goes_as_rehearsed_and_cilium_forgets_it(
    env: Environment, kubectl: Kubectl
) -> None:
    address = next(node.address for node in env.nodes() if node.name == "cpu-1")
    found = json.loads(kubectl("get", "ciliumnode", "cpu-1", "--output=json"))
    (subnet,) = found["spec"]["ipam"]["podCIDRs"]
    control = machines.host(env, "control-1")
    assert subnet in outcomes.said(control, "ip -4 route")

    named = machines.changes(env, "scale", *REHEARSAL, scale_remove="cpu-1")
    assert _names(kubectl, "nodes") == {*NODES}
    assert machines.changes(env, "scale", scale_remove="cpu-1") == named

    until("no CiliumNode is left", lambda: _names(kubectl, "ciliumnodes") == {"control-1"})
    until("no endpoint is left there", lambda: address not in _endpoints(kubectl))
    until("no route leads there", lambda: subnet not in outcomes.said(control, "ip -4 route"))
    gone = machines.host(env, "cpu-1")
    assert not gone.service("kubelet.service").is_running
    assert outcomes.said(gone, "ctr --namespace k8s.io tasks list --quiet") == ""
    assert machines.changes(env, "scale", scale_remove="cpu-1") == []


def _endpoints(kubectl: Kubectl) -> set[str]:
    """Addresses of the nodes that Cilium knows endpoints of."""
    listed = kubectl("get", "ciliumendpoints", "--all-namespaces", "--output=json")
    return {one["status"]["networking"]["node"] for one in json.loads(listed)["items"]}


@pytest.mark.usefixtures("ground")
def test_the_worker_comes_back_as_rehearsed_and_its_pods_are_told_apart_as_before(
    env: Environment, kubectl: Kubectl
) -> None:
    named = machines.changes(env, "scale", *REHEARSAL, scale_add="cpu-1")
    assert _names(kubectl, "nodes") == {"control-1"}
    began = _now()

    assert machines.changes(env, "scale", scale_add="cpu-1") == named

    outcomes.cilium(machines.host(env, "cpu-1"))
    _settle(kubectl)
    assert _said(kubectl, "stranger", began) == {"shut"}
    assert machines.changes(env, "scale", scale_add="cpu-1") == []


@pytest.mark.usefixtures("ground")
def test_a_backup_brings_a_destroyed_control_plane_back_and_the_policy_held_meanwhile(
    env: Environment, kubectl: Kubectl
) -> None:
    told = playbook.run(env, "backup", silent).document
    assert told is not None
    kubectl("create", "configmap", "too-late", _namespace())
    worker, began = _runs(kubectl, "cpu-1"), _now()
    machines.destroy(env, "control-1")

    given = json.dumps({"restore_from": told["folder"]})
    hosts.up(env, hosts.archives(env, silent), silent, "restore", "--extra-vars", given)

    _settle(kubectl)
    assert "too-late" not in _names(kubectl, "configmaps")
    assert _runs(kubectl, "cpu-1") == worker
    assert _said(kubectl, "stranger", began) == {"shut"}
    assert machines.changes(env, "hosts") == []


def _runs(kubectl: Kubectl, node: str) -> dict[str, str]:
    """When the pods of a node began to run."""
    return {
        pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["state"]["running"][
            "startedAt"
        ]
        for pod in _pods(kubectl)
        if pod["spec"]["nodeName"] == node
    }


def test_a_reset_takes_off_exactly_what_its_rehearsal_names(env: Environment) -> None:
    given = {"reset_environment": env.name}
    named = machines.changes(env, "reset", *REHEARSAL, **given)
    assert {one.split(":")[0] for one in named} == {*NODES}

    assert machines.changes(env, "reset", **given) == named

    assert machines.changes(env, "reset", "--check", **given) == []


def test_a_new_cluster_on_the_same_hosts_is_made_as_rehearsed_and_tells_pods_apart(
    env: Environment, kubectl: Kubectl
) -> None:
    named = machines.changes(env, "hosts", *REHEARSAL)

    assert machines.changes(env, "hosts") == named

    _populate(env, kubectl)
