"""Three control planes and two workers: one is lost, a majority is lost, and they come back.

On an environment of its own, which fits beside no other where root may have 128 inotify instances.
"""

import json
from collections.abc import Callable
from functools import partial

import pytest
from testinfra.host import Host

from ci.pipeline import hosts, playbook
from ci.report import silent
from infra import contract
from infra.environment import Environment
from tests.hosts import machines, outcomes
from tests.hosts.quorum import (
    ADMIN,
    CONTROLS,
    WORKERS,
    env,
    kill,
    reach,
    ready,
    start,
    until,
    voters,
    worker,
)

__all__ = ["env", "reach", "worker"]

pytestmark = pytest.mark.scenarios
KEYS = ("join.yaml", "discovery.yaml", "upload.yaml", "bootstrap-kubelet.conf")


def _sleeper(env: Environment, name: str) -> str:
    """A pod for the scheduler to place."""
    image = contract.load(env).images["modelyard/shell"].pinned
    pod = machines.sleeper("", {"name": name, "namespace": "default"}, image)
    del pod["spec"]["nodeName"]
    return json.dumps(pod)


def _phase(kubectl: Callable[..., str], name: str) -> str:
    return kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")


def test_three_control_planes_and_two_workers_come_up(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    assert ready(worker) == dict.fromkeys((*CONTROLS, *WORKERS), True)
    for node in CONTROLS:
        assert voters(reach(node)) == set(CONTROLS)
    for node in (*CONTROLS, *WORKERS):
        outcomes.joined(reach(node), env, node)
        outcomes.kubelet_certificate(reach(node), env, node)


def test_every_node_reaches_all_api_servers_through_its_own_balancer(
    env: Environment, reach: Callable[[str], Host]
) -> None:
    addresses = {node.name: node.address for node in env.nodes()}
    for node in (*CONTROLS, *WORKERS):
        written = outcomes.configured(reach(node), "/etc/modelyard/api-balancer.cfg")
        for control in CONTROLS:
            assert f"server {control} {addresses[control]}:6443" in written
        listening = outcomes.said(reach(node), "ss --listening --tcp --numeric --no-header")
        assert [line.split()[3] for line in listening.splitlines() if ":7443" in line] == [
            "127.0.0.1:7443"
        ]
    for node in WORKERS:
        settings = outcomes.said(reach(node), "cat /etc/kubernetes/kubelet.conf")
        assert "server: https://127.0.0.1:7443" in settings


def test_no_key_and_no_token_is_left_behind(
    reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    for node in (*CONTROLS, *WORKERS):
        for name in KEYS:
            assert not reach(node).file(f"/etc/kubernetes/{name}").exists
    listed = worker("get", "secrets", "--namespace=kube-system", "--output=name").split()
    assert "secret/kubeadm-certs" not in listed


def test_the_clusters_dns_is_on_two_nodes(worker: Callable[..., str]) -> None:
    dns = ("--namespace=kube-system", "--selector=k8s-app=kube-dns", "--output=json")

    def where() -> list[str]:
        pods = json.loads(worker("get", "pods", *dns))["items"]
        return [
            one["spec"]["nodeName"] for one in pods if "deletionTimestamp" not in one["metadata"]
        ]

    until(lambda: len(where()) == len(set(where())) == 2, "a pod of the DNS on each of two nodes")


def test_a_port_of_all_nodes_answers_at_the_node_itself(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    # As the registry's, which nodes pull from; here the API servers are behind it.
    addresses = [node.address for node in env.nodes() if node.name in CONTROLS]
    port = env.node_ports.registry
    service = {"type": "NodePort", "ports": [{"port": 443, "targetPort": 6443, "nodePort": port}]}
    behind = {
        "addressType": "IPv4",
        "ports": [{"port": 6443, "protocol": "TCP"}],
        "endpoints": [{"addresses": [one]} for one in addresses],
    }
    labels = {"kubernetes.io/service-name": "knock"}
    document = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "knock"}, "spec": service},
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "knock", "labels": labels},
                **behind,
            },
        ],
    }
    worker("create", "--filename=-", text=json.dumps(document))

    knock = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
    until(lambda: reach("cpu-1").run("python3 -c %s", knock).rc == 0, "an answer")


def test_a_second_run_changes_nothing_and_a_rehearsal_names_nothing(env: Environment) -> None:
    assert machines.changes(env, "hosts") == []
    assert machines.changes(env, "hosts", "--check") == []
    assert hosts.agrees(env)


def test_certificates_that_end_soon_are_renewed_and_the_cluster_goes_on(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    def numbers() -> list[str]:
        ask = "openssl x509 -noout -serial -in /etc/kubernetes/pki/apiserver.crt"
        return [outcomes.said(reach(node), ask) for node in CONTROLS]

    before = numbers()
    rehearsed = machines.changes(env, "hosts", "--check", control_plane_renew_days=400)
    assert numbers() == before
    changes = machines.changes(env, "hosts", control_plane_renew_days=400)

    task = "control_plane : renew | Renew them, and end what still uses the old ones"
    renewed = [f"{node}: {task}" for node in CONTROLS]
    assert [change for change in changes if "renew" in change] == renewed
    assert [change for change in rehearsed if "renew" in change] == renewed
    assert not set(before) & set(numbers())
    until(lambda: worker("get", "--raw=/readyz") == "ok", "an API server behind the balancer")
    assert machines.changes(env, "hosts") == []


def test_names_and_audit_of_api_servers_change_while_the_cluster_runs(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    names = ["localhost", "127.0.0.1", "api.example.com"]
    run = partial(
        machines.changes, env, "hosts", control_plane_names=names, control_plane_audit_days=7
    )
    rehearsed = run("--check")

    changes = run()

    assert {change.split(":")[0] for change in changes} == {*CONTROLS}
    assert changes == rehearsed
    asked = "openssl x509 -noout -ext subjectAltName -in /etc/kubernetes/pki/apiserver.crt"
    for node in CONTROLS:
        assert "DNS:api.example.com" in outcomes.said(reach(node), asked)
        running = outcomes.said(
            reach(node), "tr '\\0' ' ' < /proc/$(pgrep -x kube-apiserver)/cmdline"
        )
        assert "--audit-log-maxage=7" in running
    until(lambda: worker("get", "--raw=/readyz") == "ok", "an API server behind the balancer")
    told = worker("get", "configmap", "kubeadm-config", "--namespace=kube-system", "--output=json")
    assert "api.example.com" in told
    assert run() == []
    assert machines.changes(env, "hosts") == changes
    for node in CONTROLS:
        assert "DNS:api.example.com" not in outcomes.said(reach(node), asked)


def test_one_control_plane_is_killed_and_the_cluster_goes_on(
    env: Environment, worker: Callable[..., str]
) -> None:
    kill(env, "control-1")

    until(lambda: worker("get", "--raw=/readyz") == "ok", "an API server behind the balancer")
    until(lambda: bool(worker("create", "--filename=-", text=_sleeper(env, "one"))), "a new pod")
    until(lambda: _phase(worker, "one") == "Running", "the pod's run")
    until(lambda: not ready(worker)["control-1"], "the loss of control-1 noticed")
    others = {name: well for name, well in ready(worker).items() if name != "control-1"}
    assert others == dict.fromkeys((*CONTROLS[1:], *WORKERS), True)


def test_hosts_are_repaired_by_whichever_control_plane_lives(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    worker("label", "node", "cpu-2", "modelyard.dev/pool=wrong", "--overwrite")
    lost = "rm /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet.service"
    outcomes.said(reach("cpu-2"), lost)

    changes = machines.changes(env, "hosts", "--limit", "!control-1")

    assert changes == [
        "control-2: control_plane : kubeconfig | Write it on this machine",
        "cpu-2: kubelet_certificate : approve | Approve what the kubelet asks for",
        "cpu-2: node_labels : configure | Label the node",
    ]


def test_a_node_would_be_taken_away_by_whichever_control_plane_lives(
    env: Environment, worker: Callable[..., str]
) -> None:
    assert machines.changes(env, "scale", "--check", scale_remove="cpu-2") == [
        "control-2: Remove the route to them",
        "control-3: Remove the route to them",
        "cpu-1: Remove the route to them",
        "cpu-2: Cordon and drain it",
        "cpu-2: Delete the node",
        "cpu-2: Remember whether pods were let in",
        "cpu-2: Remove the marks of a node, and the key of Secrets that are gone",
        "cpu-2: Stop what belongs to a node",
        "cpu-2: Undo kubeadm's work",
    ]
    assert ready(worker)["cpu-2"]


def test_it_comes_back_as_the_same_member_and_then_nothing_changes(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    start(env, "control-1")

    until(lambda: ready(worker)["control-1"], "control-1 ready")
    until(lambda: voters(reach("control-1")) == set(CONTROLS), "control-1 a member of etcd")
    assert machines.changes(env, "hosts") == [
        "control-1: control_plane : kubeconfig | Write it on this machine"
    ]
    assert machines.changes(env, "hosts") == []


def test_a_lost_majority_stops_writes_and_its_return_recovers_everything(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    kill(env, "control-2", "control-3")
    with pytest.raises(RuntimeError):
        worker("create", "configmap", "written-without-a-majority")

    start(env, "control-2", "control-3")

    until(lambda: all(ready(worker).values()), "all nodes ready")
    assert _phase(worker, "one") == "Running"
    until(lambda: bool(worker("create", "configmap", "written-afterwards")), "a write")
    for node in CONTROLS:
        assert voters(reach(node)) == set(CONTROLS)


def test_a_control_plane_that_lost_its_disks_joins_anew(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    machines.destroy(env, "control-1")

    changes = machines.changes(env, "hosts")

    assert "control-1: control_plane : forget | Remove the member that this host was" in changes
    assert "control-1: control_plane : join | Join" in changes
    assert not any("initialise" in change for change in changes)
    until(lambda: all(ready(worker).values()), "all nodes ready")
    assert voters(reach("control-2")) == set(CONTROLS)
    assert _phase(worker, "one") == "Running"
    assert machines.changes(env, "hosts") == []


def test_all_control_planes_are_lost_and_a_backup_brings_them_back(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    worker("create", "configmap", "before-the-backup")
    kill(env, "control-1")
    told = playbook.run(env, "backup", silent, "--limit", "!control-1").document
    assert told is not None
    worker("create", "configmap", "after-the-backup")
    machines.destroy(env, *CONTROLS)

    given = json.dumps({"restore_from": told["folder"]})
    hosts.up(env, hosts.archives(env, silent), silent, "restore", "--extra-vars", given)

    until(lambda: all(ready(worker).values()), "all nodes ready")
    for node in CONTROLS:
        assert voters(reach(node)) == set(CONTROLS)
    listed = worker("get", "configmaps", "--output=name").split()
    assert "configmap/before-the-backup" in listed
    assert "configmap/after-the-backup" not in listed
    assert machines.changes(env, "hosts") == []


def test_a_reset_takes_kubernetes_off_one_after_the_other_as_rehearsed(
    env: Environment, reach: Callable[[str], Host]
) -> None:
    reset = partial(machines.changes, env, "reset", reset_environment=env.name)
    named = reset("--check")
    assert voters(reach("control-2")) == set(CONTROLS)

    assert reset() == named

    for node in CONTROLS:
        for left in (ADMIN, "/var/lib/etcd/member"):
            assert not reach(node).file(left).exists
    assert reset() == []
