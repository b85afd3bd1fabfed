"""The role node_labels on Node objects of a real API server; no kubelet stands behind them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import environment
from tests.hosts import onprem, outcomes
from tests.hosts.machines import thrice
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer

pytestmark = pytest.mark.scenarios
NODES = "/api/v1/nodes"
# The default, the alternative, and one where the role never runs.
LABELLED = {"cpu-1": "cpu", "gpu-1": "gpu"}
NEVER = "control-1"
SUBNET = "172.29.75.0/24"


@dataclass(frozen=True, kw_only=True)
class House:
    """The server, and what a rehearsal, a run and a second run said."""

    server: ApiServer
    said: list[str]

    def get(self, *words: str) -> dict[str, Any]:
        """What kubectl would print for `get node NAME`."""
        return self.server.get(f"{NODES}/{words[-1]}")

    def check(self, name: str) -> None:
        """What the role promises of a node, which is called as one of the environment `test`."""
        outcomes.labelled(self.get, environment.load("test"), name)


def _inventory(kubeconfig: Path) -> dict[str, Any]:
    """The nodes, of which one is a container, so that there is a machine to make others like."""
    container = {
        "ansible_connection": "docker",
        "ansible_host": onprem.container("gpu-1"),
        "node_address": "172.29.75.11",
        "node_container_name": onprem.container("gpu-1"),
        "node_container_subnet": SUBNET,
        "node_container_tools": "",
        "node_container_ports": [],
    }
    labels = {
        name: {
            "node_labels_pool": kind,
            "node_labels_kind": kind,
            "node_labels_control_plane": "control-1",
            "node_labels_kubeconfig": str(kubeconfig),
        }
        for name, kind in LABELLED.items()
    }
    asked = {
        "ansible_connection": "docker",
        "ansible_host": onprem.container("control-1"),
    }
    return {
        "all": {
            "hosts": {"control-1": asked, "cpu-1": labels["cpu-1"]},
            "children": {"containers": {"hosts": {"gpu-1": container | labels["gpu-1"]}}},
        }
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, cluster = tmp_path_factory.mktemp("labels"), tmp_path_factory.mktemp("cluster")
    role = {"name": "Label", "hosts": ",".join(LABELLED), "gather_facts": False}
    text = yaml.safe_dump([role | {"roles": [{"role": "node_labels"}]}])
    (folder / "labels.yml").write_text(text)
    with (
        apiserver.running(cluster) as server,
        onprem.machines(folder, _inventory(server.kubeconfig), {"binaries": {}}) as env,
    ):
        onprem.control_plane(env, server.kubeconfig)
        for name in (*LABELLED, NEVER):
            server.create(NODES, {"metadata": {"name": name}})
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            server.status(f"{NODES}/{name}", ready)
            # Admission's, which a controller takes away when a kubelet says that it is ready.
            server.patch(f"{NODES}/{name}", {"spec": {"taints": None}})

        def play(*arguments: str) -> tuple[int, str]:
            done = onprem.play(folder, folder / "labels.yml", *arguments)
            return done.returncode, done.stdout + done.stderr

        yield House(server=server, said=thrice(play))


@pytest.mark.parametrize("name", LABELLED)
def test_a_node_has_the_labels_and_taints_of_its_kind(house: House, name: str) -> None:
    house.check(name)


def test_the_check_fails_on_a_node_where_the_role_never_ran(house: House) -> None:
    with pytest.raises(AssertionError):
        house.check(NEVER)


def test_a_rehearsal_names_changes_and_a_second_run_makes_none(house: House) -> None:
    rehearsed, first, second = house.said
    assert "changed=0 " not in rehearsed
    assert "changed=0 " not in first
    assert second.count("changed=0 ") == second.count("changed=") == len(LABELLED), second
