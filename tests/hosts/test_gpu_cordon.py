"""A GPU's fault cordons a real Node object, on a real API server, with no right but a kubelet's.

The kernel's log and nvidia-smi are simulated; etcd, API server, its admission and kubectl are real.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.ansible.test_gpu_health import FALLEN, FILES, script
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer

pytestmark = pytest.mark.scenarios
NODES = "/api/v1/nodes"
OWN, OTHER = "gpu-1", "gpu-2"
TOKEN = "a-kubelets-own"  # of a server that lives as long as the test


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that restricts kubelets as kubeadm's does, and knows one of them."""
    folder = tmp_path_factory.mktemp("nodes")
    flags = ["--authorization-mode=Node", "--enable-admission-plugins=NodeRestriction"]
    kubelet = f"{TOKEN},system:node:{OWN},kubelet,system:nodes"
    with apiserver.running(folder, flags=flags, accounts=[kubelet]) as found:
        for name in (OWN, OTHER):
            found.create(NODES, {"metadata": {"name": name}})
        yield found


@pytest.fixture(scope="module")
def kubeconfig(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubelet's own."""
    document = yaml.safe_load(server.kubeconfig.read_text())
    document["users"] = [{"name": "administrator", "user": {"token": TOKEN}}]
    path = tmp_path_factory.mktemp("kubelet") / "kubelet.conf"
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    return path


class Check:
    """The program that the role installs, looking at simulated sources."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder
        self.program: ModuleType = script("gpu_health", "modelyard-gpu-health")
        self.program.SETTINGS = folder / "settings.json"  # type: ignore[attr-defined]
        self.program.FAULTS = FILES / "gpu-faults.json"  # type: ignore[attr-defined]
        self.program.FORGOTTEN = folder / "forgotten"  # type: ignore[attr-defined]
        self.kubectl = str(apiserver.binary("kubernetes", "kubectl"))
        self.program.KUBECTL = self.kubectl  # type: ignore[attr-defined]
        self.kubeconfig = kubeconfig
        self.errors(0)
        self.log("")

    def errors(self, count: int) -> None:
        """What nvidia-smi says of memory."""
        smi = self.folder / "simulated-nvidia-smi"
        ecc, rows = f"0000:3b:00.0, {count}, No", "0000:3b:00.0, No, No"
        text = f'case "$1" in --query-gpu*) echo {ecc} ;; *) echo {rows} ;; esac'
        smi.write_text(f"#!/bin/sh\n# Simulated.\n{text}\n")
        smi.chmod(0o755)

    def log(self, line: str) -> None:
        """What the kernel says."""
        (self.folder / "simulated-log").write_text(f"{line}\n")

    def act(self, **more: Any) -> None:
        """Look once, and act."""
        read = f"print(open({str(self.folder / 'simulated-log')!r}).read())"
        settings = {
            "node": OWN,
            "kubeconfig": str(self.kubeconfig),
            "driver": str(self.folder),
            "nvidia_smi": str(self.folder / "simulated-nvidia-smi"),
            "journal": [sys.executable, "-c", read],
            "uncorrected": 0,
            "uncordon": False,
            "metrics": str(self.folder),
        }
        (self.folder / "settings.json").write_text(json.dumps(settings | more))
        self.program.main([])


@pytest.fixture
def check(tmp_path: Path, kubeconfig: Path, server: ApiServer) -> Iterator[Check]:
    yield Check(tmp_path, kubeconfig)
    names = ("gpu-faults", "cordoned-by")
    notes = {f"modelyard.dev/{name}": None for name in names}
    back = {"metadata": {"annotations": notes}, "spec": {"unschedulable": None}}
    server.patch(f"{NODES}/{OWN}", back)


def _node(server: ApiServer) -> tuple[bool, dict[str, str]]:
    found = server.get(f"{NODES}/{OWN}")
    notes = found["metadata"].get("annotations", {})
    own = {key: text for key, text in notes.items() if key.startswith("modelyard.dev/")}
    return found["spec"].get("unschedulable", False), own


def test_a_healthy_node_is_left_alone(check: Check, server: ApiServer) -> None:
    check.act()

    assert _node(server) == (False, {})


def test_an_xid_cordons_the_node_and_says_why_once(check: Check, server: ApiServer) -> None:
    check.log(FALLEN)

    check.act()

    off, notes = _node(server)
    assert off
    assert notes["modelyard.dev/gpu-faults"].startswith("0000:3b:00 XID 79")
    assert notes["modelyard.dev/cordoned-by"] == "gpu-health"
    version = server.get(f"{NODES}/{OWN}")["metadata"]["resourceVersion"]
    check.act()
    assert server.get(f"{NODES}/{OWN}")["metadata"]["resourceVersion"] == version


def test_memory_errors_cordon_the_node_and_it_comes_back_only_where_asked(
    check: Check, server: ApiServer
) -> None:
    check.errors(2)
    check.act()
    assert _node(server)[0]

    check.errors(0)
    check.act()
    assert _node(server)[0]
    check.act(uncordon=True)
    assert _node(server) == (False, {})


def test_gpus_that_cannot_be_asked_cordon_the_node(check: Check, server: ApiServer) -> None:
    check.act(nvidia_smi=str(check.folder / "nowhere"))

    off, notes = _node(server)
    assert off
    assert notes["modelyard.dev/gpu-faults"].startswith("driver nvidia-smi gave no answer: ")
    assert "modelyard_gpu_faults 1\n" in (check.folder / "modelyard_gpu.prom").read_text()


def test_a_kubelets_credential_changes_no_other_node(check: Check, server: ApiServer) -> None:
    check.log(FALLEN)

    with pytest.raises(RuntimeError, match="orbidden"):
        check.act(node=OTHER)

    assert "unschedulable" not in server.get(f"{NODES}/{OTHER}")["spec"]


def test_a_kubelets_credential_sets_no_taint(check: Check) -> None:
    patch = json.dumps({"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}})

    with pytest.raises(RuntimeError, match="not allowed to modify taints"):
        check.program.said(
            *(check.kubectl, f"--kubeconfig={check.kubeconfig}", "patch", "node", OWN),
            *("--type=merge", f"--patch={patch}"),
        )
