"""On Cilium a NetworkPolicy denies what it does not allow, between nodes and on one node.

On an environment of its own, because the others have the bridge, which enforces nothing.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from ci.pipeline import hosts, node_probe, playbook
from ci.report import silent
from infra import contract
from infra.environment import Environment
from tests.hosts import machines, outcomes
from tests.system.house import until

pytestmark = pytest.mark.scenarios
NAMESPACE = "fenced"
OPEN, CLOSED = 8080, 9090
ASKERS = {"friend": "control-1", "stranger": "control-1", "neighbour": "cpu-1"}
SERVER = f"python3 -m http.server {CLOSED} & exec python3 -m http.server {OPEN}"

PREFIX, PORT = 25, 8473
NARROW = (
    "--extra-vars",
    json.dumps({"cilium_node_prefix": PREFIX, "cilium_tunnel_port": PORT}),
)

Kubectl = Callable[..., str]


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    """The environment `fenced`: hosts and cluster, no platform."""
    with machines.cluster("fenced") as found:
        yield found


@pytest.fixture(scope="module")
def kubectl(env: Environment) -> Kubectl:
    return machines.kubectl(env, timeout_s=400)


@pytest.fixture(scope="module")
def server(env: Environment, kubectl: Kubectl) -> str:
    """Address of a pod on cpu-1 that listens on two ports; pods that ask it run on both nodes."""
    images = contract.load(env).images
    kubectl("create", "namespace", NAMESPACE)
    served = machines.sleeper("cpu-1", _meta("server"), images["modelyard/doorkeeper"].pinned)
    served["spec"]["containers"][0]["command"] = ["sh", "-c", SERVER]
    pods = [served]
    for name, node in ASKERS.items():
        pods.append(machines.sleeper(node, _meta(name), images["modelyard/shell"].pinned))
    for pod in pods:
        kubectl("apply", "--filename=-", text=json.dumps(pod))
    kubectl(
        "wait",
        f"--namespace={NAMESPACE}",
        "--for=condition=Ready",
        "pods",
        "--all",
        "--timeout=300s",
    )
    address = kubectl(
        "get", "pod", "server", f"--namespace={NAMESPACE}", "--output=jsonpath={.status.podIP}"
    )
    until("the server answers", lambda: _reaches(kubectl, "neighbour", address, OPEN))
    return address


def _meta(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "labels": {"role": name}}


def _reaches(kubectl: Kubectl, who: str, address: str, port: int) -> bool:
    """Whether a connection opens within 3 seconds; a denied one gets no answer at all."""
    talk = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo open || echo shut"
    said = kubectl("exec", f"--namespace={NAMESPACE}", who, "--", "bash", "-c", talk)
    return said.split()[-1] == "open"


def _open(kubectl: Kubectl, address: str) -> set[tuple[str, int]]:
    """Who reaches which port of the server."""
    pairs = [(who, port) for who in ASKERS for port in (OPEN, CLOSED)]
    return {(who, port) for who, port in pairs if _reaches(kubectl, who, address, port)}


def test_every_node_is_ready_and_none_has_the_bridge(env: Environment, kubectl: Kubectl) -> None:
    kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")

    for node in env.nodes():
        outcomes.cilium(_host(env, node.name))
    assert contract.load(env).enforces_network_policy


def test_without_a_policy_everybody_reaches_the_server(kubectl: Kubectl, server: str) -> None:
    everybody = {(who, port) for who in ASKERS for port in (OPEN, CLOSED)}

    until("everybody reaches it", lambda: _open(kubectl, server) == everybody)


def test_a_policy_lets_one_pod_through_to_one_port_and_nobody_else(
    kubectl: Kubectl, server: str
) -> None:
    rule = {
        "from": [{"podSelector": {"matchLabels": {"role": "friend"}}}],
        "ports": [{"port": OPEN, "protocol": "TCP"}],
    }
    spec = {"podSelector": {"matchLabels": {"role": "server"}}, "ingress": [rule]}
    _apply(kubectl, "friends", spec)

    until("only the friend reaches it", lambda: _open(kubectl, server) == {("friend", OPEN)})

    kubectl("delete", "networkpolicy", "friends", f"--namespace={NAMESPACE}")
    until("everybody reaches it again", lambda: len(_open(kubectl, server)) == 2 * len(ASKERS))


def test_a_pod_that_may_speak_to_nobody_reaches_nobody(kubectl: Kubectl, server: str) -> None:
    spec = {"podSelector": {"matchLabels": {"role": "stranger"}}, "policyTypes": ["Egress"]}
    _apply(kubectl, "silence", spec)

    others = {(who, port) for who in ("friend", "neighbour") for port in (OPEN, CLOSED)}
    until("the stranger reaches nothing", lambda: _open(kubectl, server) == others)

    kubectl("delete", "networkpolicy", "silence", f"--namespace={NAMESPACE}")


def test_a_policy_for_the_nodes_network_lets_nodes_in(
    env: Environment, kubectl: Kubectl, server: str
) -> None:
    """As the platform's policies name kubelets and API servers."""
    spec = {"podSelector": {"matchLabels": {"role": "stranger"}}, "policyTypes": ["Egress"]}
    nodes = [{"to": [{"ipBlock": {"cidr": env.network.hosts}}]}]
    _apply(kubectl, "nodes-only", spec | {"egress": nodes})
    address = env.nodes()[0].address

    until("it does not reach the server", lambda: not _reaches(kubectl, "stranger", server, OPEN))
    until("it reaches an API server", lambda: _reaches(kubectl, "stranger", address, 6443))

    kubectl("delete", "networkpolicy", "nodes-only", f"--namespace={NAMESPACE}")


def test_a_pod_finds_a_service_by_its_name(kubectl: Kubectl, server: str) -> None:
    ask = ["getent", "hosts", "kubernetes.default.svc.cluster.local"]
    command = ["exec", f"--namespace={NAMESPACE}", "stranger", "--", *ask]

    until("the name is known", lambda: kubectl(*command).startswith("10.107.0.1 "))


def test_a_second_run_changes_nothing(env: Environment) -> None:
    assert playbook.run(env, "hosts", silent).changes == []
    assert hosts.agrees(env)


@pytest.fixture(scope="module")
def narrow(env: Environment) -> Environment:
    """The environment anew, with other inputs of the role."""
    hosts.down(env, silent)
    hosts.up(env, hosts.archives(env, silent), silent, "hosts", *NARROW)
    return env


def test_nodes_get_smaller_subnets_and_another_port_where_it_is_asked_for(
    narrow: Environment, kubectl: Kubectl
) -> None:
    kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")

    for node in narrow.nodes():
        outcomes.cilium(_host(narrow, node.name), PORT)
    found = json.loads(kubectl("get", "ciliumnodes", "--output=json"))["items"]
    subnets = {subnet for one in found for subnet in one["spec"]["ipam"]["podCIDRs"]}
    assert len(subnets) == len(narrow.nodes())
    assert {subnet.split("/")[1] for subnet in subnets} == {str(PREFIX)}


def test_pods_of_two_nodes_reach_each_other_through_that_port(
    narrow: Environment, kubectl: Kubectl
) -> None:
    image = contract.load(narrow).images["modelyard/doorkeeper"].pinned
    kubectl("create", "namespace", NAMESPACE)
    served = machines.sleeper("cpu-1", _meta("server"), image)
    served["spec"]["containers"][0]["command"] = ["sh", "-c", SERVER]
    shell = contract.load(narrow).images["modelyard/shell"].pinned
    for pod in (served, machines.sleeper("control-1", _meta("friend"), shell)):
        kubectl("apply", "--filename=-", text=json.dumps(pod))
    ready = ("--for=condition=Ready", "pods", "--all", "--timeout=300s")
    kubectl("wait", f"--namespace={NAMESPACE}", *ready)
    where = ("get", "pod", "server", "--output=jsonpath={.status.podIP}")
    address = kubectl(*where, f"--namespace={NAMESPACE}")

    until("the server answers", lambda: _reaches(kubectl, "friend", address, OPEN))


def test_a_second_run_with_them_changes_nothing(narrow: Environment) -> None:
    assert playbook.run(narrow, "hosts", silent, *NARROW).changes == []


def _host(env: Environment, node: str) -> Host:
    return testinfra.get_host(f"docker://{node_probe.container_name(env, node)}")


def _apply(kubectl: Kubectl, name: str, spec: dict[str, Any]) -> None:
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    kubectl("apply", "--filename=-", text=json.dumps(document))
