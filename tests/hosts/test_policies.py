"""On Cilium a NetworkPolicy denies what it does not allow, between nodes and on one node.

On an environment of its own, because the others have the bridge, which enforces nothing.
"""

import json
from collections.abc import Iterator, Mapping

import pytest

from ci.pipeline import hosts, playbook
from ci.report import silent
from infra import contract
from infra.environment import Environment
from tests.hosts import fenced, machines, outcomes
from tests.hosts.fenced import CLOSED, OPEN, Kubectl
from tests.system.house import until

pytestmark = pytest.mark.scenarios
ASKERS = {"friend": "control-1", "stranger": "control-1", "neighbour": "cpu-1"}

PREFIX, PORT = 25, 8473
NARROW = (
    "--extra-vars",
    json.dumps({"cilium_node_prefix": PREFIX, "cilium_tunnel_port": PORT}),
)


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    """The environment `fenced`: hosts and cluster, no platform."""
    with machines.cluster(fenced.NAME) as found:
        yield found


@pytest.fixture(scope="module")
def kubectl(env: Environment) -> Kubectl:
    return machines.kubectl(env, timeout_s=400)


@pytest.fixture(scope="module")
def server(env: Environment, kubectl: Kubectl) -> str:
    """Address of a pod on cpu-1 that listens on two ports; pods that ask it run on both nodes."""
    return _served(env, kubectl, ASKERS, "neighbour")


def _served(env: Environment, kubectl: Kubectl, askers: Mapping[str, str], first: str) -> str:
    """Address of the server once the first of these pods, each on its node, reaches it."""
    kubectl("create", "namespace", fenced.NAMESPACE)
    pods = [fenced.asker(env, name, node) for name, node in askers.items()]
    for pod in (fenced.server(env, "cpu-1"), *pods):
        kubectl("apply", "--filename=-", text=json.dumps(pod))
    fenced.wait(kubectl)
    where = ("get", "pod", "server", "--output=jsonpath={.status.podIP}")
    address = kubectl(*where, f"--namespace={fenced.NAMESPACE}")
    until("the server answers", lambda: fenced.reaches(kubectl, first, address, OPEN))
    return address


def _open(kubectl: Kubectl, address: str) -> set[tuple[str, int]]:
    """Who reaches which port of the server."""
    pairs = [(who, port) for who in ASKERS for port in (OPEN, CLOSED)]
    return {(who, port) for who, port in pairs if fenced.reaches(kubectl, who, address, port)}


def test_every_node_is_ready_and_none_has_the_bridge(env: Environment, kubectl: Kubectl) -> None:
    kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")

    for node in env.nodes():
        outcomes.cilium(machines.host(env, node.name))
    assert contract.load(env).enforces_network_policy


def test_without_a_policy_everybody_reaches_the_server(kubectl: Kubectl, server: str) -> None:
    everybody = {(who, port) for who in ASKERS for port in (OPEN, CLOSED)}

    until("everybody reaches it", lambda: _open(kubectl, server) == everybody)


def test_a_policy_lets_one_pod_through_to_one_port_and_nobody_else(
    kubectl: Kubectl, server: str
) -> None:
    fenced.restrict(kubectl, "friends", fenced.FRIENDS)

    until("only the friend reaches it", lambda: _open(kubectl, server) == {("friend", OPEN)})

    kubectl("delete", "networkpolicy", "friends", f"--namespace={fenced.NAMESPACE}")
    until("everybody reaches it again", lambda: len(_open(kubectl, server)) == 2 * len(ASKERS))


def test_a_pod_that_may_speak_to_nobody_reaches_nobody(kubectl: Kubectl, server: str) -> None:
    spec = {"podSelector": {"matchLabels": {"role": "stranger"}}, "policyTypes": ["Egress"]}
    fenced.restrict(kubectl, "silence", spec)

    others = {(who, port) for who in ("friend", "neighbour") for port in (OPEN, CLOSED)}
    until("the stranger reaches nothing", lambda: _open(kubectl, server) == others)

    kubectl("delete", "networkpolicy", "silence", f"--namespace={fenced.NAMESPACE}")


def test_a_policy_for_the_nodes_network_lets_nodes_in(
    env: Environment, kubectl: Kubectl, server: str
) -> None:
    """As the platform's policies name kubelets and API servers."""
    spec = {"podSelector": {"matchLabels": {"role": "stranger"}}, "policyTypes": ["Egress"]}
    nodes = [{"to": [{"ipBlock": {"cidr": env.network.hosts}}]}]
    fenced.restrict(kubectl, "nodes-only", spec | {"egress": nodes})
    address = env.nodes()[0].address

    until(
        "it does not reach the server",
        lambda: not fenced.reaches(kubectl, "stranger", server, OPEN),
    )
    until("it reaches an API server", lambda: fenced.reaches(kubectl, "stranger", address, 6443))

    kubectl("delete", "networkpolicy", "nodes-only", f"--namespace={fenced.NAMESPACE}")


def test_a_pod_finds_a_service_by_its_name(kubectl: Kubectl, server: str) -> None:
    ask = ["getent", "hosts", "kubernetes.default.svc.cluster.local"]
    command = ["exec", f"--namespace={fenced.NAMESPACE}", "stranger", "--", *ask]

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
        outcomes.cilium(machines.host(narrow, node.name), PORT)
    found = json.loads(kubectl("get", "ciliumnodes", "--output=json"))["items"]
    subnets = {subnet for one in found for subnet in one["spec"]["ipam"]["podCIDRs"]}
    assert len(subnets) == len(narrow.nodes())
    assert {subnet.split("/")[1] for subnet in subnets} == {str(PREFIX)}


def test_pods_of_two_nodes_reach_each_other_through_that_port(
    narrow: Environment, kubectl: Kubectl
) -> None:
    assert _served(narrow, kubectl, {"friend": "control-1"}, "friend")


def test_a_second_run_with_them_changes_nothing(narrow: Environment) -> None:
    assert playbook.run(narrow, "hosts", silent, *NARROW).changes == []
