"""Every role's outcome on every node, and that each check can fail."""

import subprocess
from collections.abc import Callable

import pytest
from testinfra.host import Host

from infra import places
from infra.environment import Environment
from tests.hosts import outcomes
from tests.hosts.conftest import Kubectl

pytestmark = pytest.mark.hosts
NODES = ("control-1", "cpu-1", "gpu-1")


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("role", outcomes.CHECKS)
def test_a_node_is_as_its_role_promises(
    env: Environment, reach: Callable[[str], Host], role: str, node: str
) -> None:
    outcomes.CHECKS[role](reach(node), env, node)


@pytest.mark.parametrize("role", outcomes.CHECKS)
def test_the_check_of_a_role_fails_on_a_host_where_it_never_ran(
    env: Environment, bare: Host, role: str
) -> None:
    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        outcomes.CHECKS[role](bare, env, "gpu-1")


def test_the_check_of_a_control_plane_fails_on_a_host_that_is_none(
    env: Environment, bare: Host
) -> None:
    with pytest.raises(AssertionError):
        outcomes.joined(bare, env, "control-1")


def test_the_check_of_cilium_fails_on_a_host_that_has_another_network(
    reach: Callable[[str], Host], bare: Host
) -> None:
    for host in (bare, reach("gpu-1")):
        with pytest.raises(AssertionError):
            outcomes.cilium(host)


def test_the_control_plane_has_the_tools_of_its_etcd(
    reach: Callable[[str], Host], bare: Host
) -> None:
    outcomes.etcd_tools(reach("control-1"))
    with pytest.raises(AssertionError):
        outcomes.etcd_tools(bare)


@pytest.mark.parametrize("node", NODES)
def test_a_node_has_the_labels_and_taints_of_its_kind(
    env: Environment, kubectl: Kubectl, node: str
) -> None:
    outcomes.labelled(kubectl, env, node)


def test_the_kubeconfig_is_the_users_alone_and_names_this_machine(env: Environment) -> None:
    path = places.state(env.name) / "kubeconfig"

    assert path.stat().st_mode & 0o777 == 0o600
    assert f"server: https://127.0.0.1:{env.published.api}\n" in path.read_text()


def test_the_ssh_host_is_reached_as_an_ordinary_user_who_may_use_sudo(
    env: Environment, reach: Callable[[str], Host]
) -> None:
    folder = outcomes.ssh_folder(env)
    options = ["-i", f"{folder}/id_ed25519", "-o", f"UserKnownHostsFile={folder}/known_hosts"]
    done = subprocess.run(
        ["ssh", *options, "-o", "BatchMode=yes", "ops@172.31.0.12", "id -u; sudo id -u"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    user, root = done.stdout.split()
    assert int(user) >= 1000, done.stderr
    assert root == "0"


def test_the_ssh_host_has_the_binaries_themselves_the_others_have_links(
    reach: Callable[[str], Host],
) -> None:
    assert not reach("cpu-1").file("/usr/local/bin/kubelet").is_symlink
    assert reach("gpu-1").file("/usr/local/bin/kubelet").is_symlink
    sums = {node: reach(node).file("/usr/local/bin/kubelet").sha256sum for node in NODES}
    assert len(set(sums.values())) == 1, sums


def test_nodes_without_an_ssh_user_have_no_ssh_server_running(
    reach: Callable[[str], Host],
) -> None:
    assert not reach("gpu-1").service("ssh.service").is_running
    assert reach("cpu-1").service("ssh.service").is_running
