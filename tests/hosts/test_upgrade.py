"""Kubernetes goes up a minor version under a steady load of predictions, also after bad luck.

On an environment of its own, `rolling`, whose file names the older version; these tests name the
newer one there, and put the file back.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from testinfra.host import Host

from infra import contract, environment, places
from infra.hosts import rolling
from infra.platform import spaces
from infra.platform.gateway_names import DOORKEEPER_PORT
from tests.faults.load import Load
from tests.hosts import machines, objects, outcomes
from tests.system.conftest import example
from tests.system.house import House, Kubernetes, run, told, until

__all__ = ["example"]

pytestmark = pytest.mark.scenarios
NAME = "rolling"
FILE = places.REPOSITORY / f"Pulumi.{NAME}.yaml"
YARD = places.REPOSITORY / ".venv/bin/yard"
OLD, NEW = "1.35", "1.36"
WORKERS = ("cpu-1", "cpu-2")
NODES = ("control-1", *WORKERS)
# Minor version of the kubelet, whether pods may come, whether an upgrade began.
BEFORE, AFTER = (f"v{OLD}", True, False), (f"v{NEW}", True, False)
RUNTIME = "/etc/containerd/config.toml"
BROKEN = "/etc/systemd/system/kubelet.service.d/broken.conf"
# The newer kubelet does not start there; the older one does.
BREAKS = f'[Service]\\nExecStartPre=/bin/sh -c "! /usr/local/bin/kubelet --version | grep {NEW}"\\n'
# After a run that stopped at cpu-1.
STOPPED = {"control-1": AFTER, "cpu-1": (f"v{OLD}", False, True), "cpu-2": BEFORE}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """The environment `rolling` at the older version, with its platform and digits."""
    before = FILE.read_text()
    run(YARD, "down", NAME, "--take")
    try:
        up = run(YARD, "up", NAME)
        assert up.returncode == 0, told(up)
        known = environment.load(NAME)
        yield House(known, contract.load(known))
    finally:
        FILE.write_text(before)
        down = run(YARD, "down", NAME, "--take")
        shutil.rmtree(places.data(NAME), ignore_errors=True)
    assert down.returncode == 0, told(down)


@pytest.fixture(scope="module")
def kubernetes(house: House) -> Iterator[Kubernetes]:
    opened = Kubernetes(house.contract.kubeconfig)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Backup:
    """A backup, and what there was when it was made."""

    folder: Path
    objects: dict[str, str]

    def lost(self) -> dict[str, str]:
        """What of it is not there now, or another; pods go where a node has room for them."""
        return objects.lost(self.objects, objects.lasting(NAME), "Pod", "EndpointSlice")


@pytest.fixture(scope="module")
def backup(house: House) -> Backup:
    """A backup, made when it is first asked for."""
    house.done("backup", NAME)
    return Backup(max((places.data(NAME) / "backups").iterdir()), objects.lasting(NAME))


@pytest.fixture
def worker(house: House) -> Host:
    """cpu-1, the first worker."""
    return machines.host(house.environment, "cpu-1")


def _name(minor: str) -> None:
    """Write a version of Kubernetes into the environment's file."""
    FILE.write_text(re.sub(r'kubernetes: "[0-9.]+"', f'kubernetes: "{minor}"', FILE.read_text()))


def _nodes(kubernetes: Kubernetes) -> dict[str, tuple[str, bool, bool]]:
    """State of each node, as BEFORE and AFTER."""
    return {
        node["metadata"]["name"]: (
            node["status"]["nodeInfo"]["kubeletVersion"].rsplit(".", 1)[0],
            not node["spec"].get("unschedulable", False),
            rolling.UPGRADING in node["metadata"].get("annotations", {}),
        )
        for node in kubernetes.items("/api/v1/nodes")
    }


def _upgrade(log: Path) -> "subprocess.Popen[bytes]":
    """`yard upgrade` in a group of its own, which can be killed whole."""
    with log.open("wb") as said:
        return subprocess.Popen(
            [YARD, "upgrade", NAME],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _break(worker: Host) -> None:
    """Keep the newer kubelet from starting."""
    words = (
        f"mkdir -p $(dirname {BROKEN}) && printf '{BREAKS}' > {BROKEN} && systemctl daemon-reload"
    )
    outcomes.said(worker, words)


def _known(kubernetes: Kubernetes) -> bool:
    """Whether each doorkeeper answers at the address that the API server has of it.

    A backup holds older addresses; a kubelet that went on has to notice, also the second time.
    """
    return kubernetes.each_answers(spaces.DOORKEEPER, DOORKEEPER_PORT, "/healthz")


def _back(kubernetes: Kubernetes, backup: Backup) -> None:
    """Restore the backup of the older version: all nodes run it, nothing is lost, and the model
    answers."""
    _name(OLD)
    began = time.monotonic()
    back = run(YARD, "restore", NAME, "--from", backup.folder)
    took = time.monotonic() - began
    assert back.returncode == 0, told(back)
    print(f"restored in {took:.0f} s")
    assert took < machines.RESTORE_MINUTES * 60
    assert backup.lost() == {}
    until("all run the older version", lambda: set(_nodes(kubernetes).values()) == {BEFORE})
    until("pods are where they are said to be", lambda: _known(kubernetes))
    up = run(YARD, "up", NAME)
    assert up.returncode == 0, told(up)
    assert "digits 1.0.0 answered" in up.stdout


def test_the_older_version_comes_up_predicts_and_is_backed_up(
    house: House, kubernetes: Kubernetes, backup: Backup
) -> None:
    assert _nodes(kubernetes) == dict.fromkeys(NODES, BEFORE)
    assert run(YARD, "predict", "digits", "--in", NAME).returncode == 0
    assert (backup.folder / "manifest.json").is_file()


def test_up_refuses_to_change_the_version_of_a_cluster_that_runs(
    house: House, kubernetes: Kubernetes, worker: Host
) -> None:
    before = outcomes.said(worker, f"cat {RUNTIME}")
    _name(NEW)

    refused = run(YARD, "up", NAME)

    assert refused.returncode == 2, told(refused)
    assert "yard upgrade" in refused.stderr
    assert outcomes.said(worker, f"cat {RUNTIME}") == before
    assert _nodes(kubernetes) == dict.fromkeys(NODES, BEFORE)


def test_a_preview_says_versions_and_order_and_changes_nothing(
    house: House, kubernetes: Kubernetes
) -> None:
    seen = run(YARD, "upgrade", NAME, "--preview")

    assert seen.returncode == 0, told(seen)
    lines = [line for line in seen.stderr.splitlines() if "-> 1.36" in line]
    assert [line.split()[1] for line in lines] == [*NODES]
    assert _nodes(kubernetes) == dict.fromkeys(NODES, BEFORE)


def test_a_drain_of_the_node_that_has_everything_loses_no_request(
    house: House, example: dict[str, object]
) -> None:
    kubectl = machines.kubectl(house.environment, timeout_s=600)

    with Load(house, {"images": example["images"]}, rate=10) as load:
        until("predictions come", lambda: load.good() > 20)
        # From the second on, both gateways, both doorkeepers and both pods of the model leave it.
        for node in WORKERS * 3:
            kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data")
            kubectl("uncordon", node)
        answered = load.good()
        until("predictions still come", lambda: load.good() > answered + 20)

    print(load.summary(0.0))
    assert load.failed == []


def test_nodes_change_one_by_one_and_no_request_is_lost(
    house: House, kubernetes: Kubernetes, worker: Host, example: dict[str, object], tmp_path: Path
) -> None:
    with Load(house, {"images": example["images"]}, rate=10) as load:
        until("predictions come", lambda: load.good() > 20)

        # A worker that does not come back stops it.
        _break(worker)
        stopped = run(YARD, "upgrade", NAME)
        assert stopped.returncode == 1, told(stopped)
        assert "cpu-1 did not come back healthy" in stopped.stderr
        assert _nodes(kubernetes) == STOPPED

        # Repaired, it goes on there; and is killed with the next worker.
        outcomes.said(worker, f"rm {BROKEN} && systemctl daemon-reload")
        process = _upgrade(tmp_path / "killed.log")
        until(
            "the last worker's turn has come",
            lambda: process.poll() is not None or _nodes(kubernetes)["cpu-2"][2],
            seconds=600,
        )
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert _nodes(kubernetes)["cpu-1"] == AFTER

        done = run(YARD, "upgrade", NAME)
        assert done.returncode == 0, told(done)
        assert _nodes(kubernetes) == dict.fromkeys(NODES, AFTER)
        answered = load.good()
        until("predictions still come", lambda: load.good() > answered + 20)

    print(load.summary(0.0))
    assert load.failed == []


def test_afterwards_nothing_is_left_to_do(house: House, kubernetes: Kubernetes) -> None:
    again = run(YARD, "upgrade", NAME)
    assert again.returncode == 0, told(again)
    assert "no node changed" in again.stdout

    second = run(YARD, "up", NAME)
    assert second.returncode == 0, told(second)
    assert "nothing changed" in second.stdout
    pods = kubernetes.items("/api/v1/namespaces/kube-system/pods")
    images = {one["image"] for pod in pods for one in pod["spec"]["containers"]}
    assert {image.split(":")[-1] for image in images if "/kube-" in image} == {"v1.36.3"}


def test_the_older_version_is_refused_now_and_a_backup_leads_back_to_it(
    house: House, kubernetes: Kubernetes, backup: Backup
) -> None:
    _name(OLD)
    refused = run(YARD, "upgrade", NAME)
    assert refused.returncode == 2, told(refused)
    assert "does not go back" in refused.stderr

    _back(kubernetes, backup)


def test_a_backup_also_leads_back_from_an_upgrade_that_failed(
    house: House, kubernetes: Kubernetes, worker: Host, backup: Backup
) -> None:
    _name(NEW)
    _break(worker)
    failed = run(YARD, "upgrade", NAME)
    assert failed.returncode == 1, told(failed)
    assert _nodes(kubernetes) == STOPPED

    # Nobody repairs the host: the older version runs on it as it did.
    _back(kubernetes, backup)
