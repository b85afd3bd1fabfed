"""A second run changes nothing; one altered file or stopped unit is named, then repaired alone."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from testinfra.host import Host

from ci.pipeline import hosts, node_probe, playbook
from ci.report import silent
from infra.environment import Environment
from tests.hosts import outcomes

pytestmark = pytest.mark.hosts
Reach = Callable[[str], Host]


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Something a person did on a node, the task that must undo it, and what names it."""

    node: str
    role: str
    command: str
    task: str
    named: str


HOSTS_TOML = "/etc/containerd/certs.d/registry.modelyard.internal/hosts.toml"
ALTERED = "printf '\\n# altered\\n' >> {}"
# Without containerd nobody can tell a node's images, so what stops it has a round of its own.
ROUNDS: dict[str, dict[str, Disturbance]] = {
    "while everything runs": {
        "containerd's configuration on the SSH host": Disturbance(
            node="cpu-1",
            role="containerd",
            command=ALTERED.format("/etc/containerd/config.toml"),
            task="configure | Write the configuration",
            named="/etc/containerd/config.toml",
        ),
        "the kubelet's configuration": Disturbance(
            node="gpu-1",
            role="kubernetes",
            command="sed -i s/1Gi/2Gi/ /etc/kubernetes/kubelet.yaml",
            task="configure | Write the kubelet's configuration",
            named="-  nodefs.available: 2Gi",
        ),
        "the kubelet is stopped": Disturbance(
            node="cpu-1",
            role="kubernetes",
            command="systemctl stop kubelet.service",
            task="service | Start kubelet.service at boot, and now where the node has joined",
            named="kubelet.service",
        ),
        # The one that is stopped has its certificate, and asks for none.
        "a kubelet without its certificate": Disturbance(
            node="gpu-1",
            role="kubelet_certificate",
            command="rm /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet.service",
            task="approve | Approve what the kubelet asks for",
            named="gpu-1",
        ),
        "an image is gone": Disturbance(
            node="gpu-1",
            role="kubernetes",
            command="ctr -n k8s.io images rm $(ctr -n k8s.io images ls -q | grep /pause:)",
            task="images | Import the images and keep them",
            named="+registry.k8s.io/pause:",
        ),
        "the registry's address": Disturbance(
            node="control-1",
            role="registry_trust",
            command=f"sed -i s/30500/30501/ {HOSTS_TOML}",
            task="configure | Say where the registry answers",
            named="hosts.toml",
        ),
        "the pod network's configuration": Disturbance(
            node="gpu-1",
            role="pod_network",
            command="sed -i s/cni0/cni7/ /etc/cni/net.d/10-modelyard.conflist",
            task="configure | Write the CNI configuration",
            named="/etc/cni/net.d/10-modelyard.conflist",
        ),
        "the routes are taken away": Disturbance(
            node="control-1",
            role="pod_network",
            command="systemctl stop modelyard-routes.service",
            task="service | Set the routes of modelyard-routes.service now and at boot",
            named="modelyard-routes.service",
        ),
        "kubeadm's configuration": Disturbance(
            node="control-1",
            role="control_plane",
            command=ALTERED.format("/etc/kubernetes/kubeadm.yaml"),
            task="configure | Write kubeadm's configuration",
            named="/etc/kubernetes/kubeadm.yaml",
        ),
        "the mark of a worker that has joined": Disturbance(
            node="gpu-1",
            role="worker",
            command=ALTERED.format("/etc/kubernetes/modelyard-joined"),
            task="join | Mark the node as joined",
            named="/etc/kubernetes/modelyard-joined",
        ),
        "a node's pool": Disturbance(
            node="gpu-1",
            role="node_labels",
            command="",
            task="configure | Label the node",
            named="modelyard.dev/pool",
        ),
    },
    "while a runtime is stopped": {
        "containerd is stopped": Disturbance(
            node="gpu-1",
            role="containerd",
            command="systemctl stop containerd.service",
            task="service | Start containerd.service now and at boot",
            named="containerd.service",
        ),
    },
}


@dataclass(frozen=True, kw_only=True)
class Round:
    """Several nodes disturbed at once, and what a rehearsal and then a repair made of it."""

    cases: dict[str, Disturbance]
    rehearsed: list[str]
    said: str
    repaired: list[str]

    @property
    def expected(self) -> list[str]:
        return sorted(f"{one.node}: {one.role} : {one.task}" for one in self.cases.values())


@pytest.fixture(scope="module", params=ROUNDS)
def disturbed(
    request: pytest.FixtureRequest,
    env: Environment,
    reach: Reach,
    kubectl: Callable[..., object],
) -> Round:
    """One of ROUNDS. Each run of a playbook takes half a minute, so a round shares two."""
    cases = ROUNDS[request.param]
    for case in cases.values():
        if case.command:
            assert reach(case.node).run(case.command).rc == 0
        else:
            kubectl("label", "node", case.node, "modelyard.dev/pool=wrong", "--overwrite")
    tags = ",".join(sorted({case.role for case in cases.values()}))
    rehearsed, said = _run(env, "--check", "--tags", tags)
    repaired, _ = _run(env, "--tags", tags)
    return Round(cases=cases, rehearsed=sorted(rehearsed), said=said, repaired=sorted(repaired))


def _run(env: Environment, *arguments: str) -> tuple[list[str], str]:
    """Changes of a run, and everything that it said."""
    outcome = playbook.run(env, "hosts", silent, "--diff", *arguments)
    return outcome.changes, playbook.log_path(env, "hosts").read_text()


def test_a_second_run_changes_nothing_on_any_host(env: Environment) -> None:
    changes, _ = _run(env)

    assert changes == []
    assert hosts.agrees(env)


def test_a_rehearsal_names_what_was_altered_and_nothing_else(disturbed: Round) -> None:
    assert disturbed.rehearsed == disturbed.expected
    unnamed = [name for name, case in disturbed.cases.items() if case.named not in disturbed.said]
    assert unnamed == []


def test_the_repair_is_exactly_what_was_rehearsed(disturbed: Round) -> None:
    assert disturbed.repaired == disturbed.expected


def test_a_stopped_node_is_named_by_a_rehearsal_and_started_alone(env: Environment) -> None:
    name = node_probe.container_name(env, "gpu-1")
    subprocess.run(["docker", "stop", "--time", "1", name], check=True, capture_output=True)
    assert not hosts.agrees(env)
    expected = ["gpu-1: node_container : container | Run the node"]

    rehearsed, _ = _run(env, "--check", "--tags", "node_container")
    assert rehearsed == expected

    repaired, _ = _run(env, "--tags", "node_container")
    assert repaired == expected


def test_a_join_that_was_cut_off_is_undone_and_done_again(
    env: Environment, reach: Reach, kubectl: Callable[..., object]
) -> None:
    gpu = reach("gpu-1")
    assert gpu.run("rm /etc/kubernetes/modelyard-joined").rc == 0

    changes, _ = _run(env, "--tags", "worker,kubelet_certificate,node_labels")

    assert "gpu-1: worker : reset | Undo it" in changes
    assert "gpu-1: worker : join | Join" in changes
    assert not any(change.startswith("cpu-1") for change in changes)
    outcomes.joined(gpu, env, "gpu-1")
    labels, taints = outcomes.labels(kubectl, env, "gpu-1")
    assert labels["modelyard.dev/pool"] == "gpu"
    assert taints == ["nvidia.com/gpu=present:NoSchedule"]


def test_the_nodes_agree_with_the_repository_in_the_end(env: Environment) -> None:
    assert hosts.agrees(env)
