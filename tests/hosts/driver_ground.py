"""Two GPU hosts and a real API server that knows them as nodes; their GPUs are simulated.

etcd, API server, kubectl, apt and a container's restart are real; there is no kubelet: what one
would say of a node is written by the test. They belong to the environment `onprem`, with a state
folder of the test's own.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.hosts import onprem, outcomes, packages
from tests.hosts.gpus import THERE, Simulated
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer

OLD, NEW = "535.261.03", "580.159.03"
KUBERNETES = "1.36.3"
HOSTS = ("gpu-1", "gpu-2")
SUBNET = "172.29.71.0/24"
BROKEN = f"{THERE}/broken"
"""With this file a host's next start loads no driver."""
SMI = f"#!/bin/sh\n# Simulated: one GPU.\ncat {THERE}/sys/module/nvidia/version\n"
# A start loads the driver that is installed; the new number of the start is written last.
BOOT = f"""#!/bin/sh
# Simulated.
cd {THERE}/sys/module/nvidia; rm -f version
[ -e {BROKEN} ] || dpkg-query --show --showformat='${{Version}}' nvidia-kernel-open-dkms \\
    | sed 's/-.*//' > version
cat /proc/sys/kernel/random/uuid > {THERE}/boot-id
"""
UNIT = f"[Service]\nType=oneshot\nExecStart={THERE}/boot\n[Install]\nWantedBy=multi-user.target\n"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The hosts, their inventory, and the cluster that they are nodes of."""

    folder: Path
    server: ApiServer

    def host(self, name: str) -> Host:
        """A GPU host as testinfra sees it."""
        return onprem.host(name)

    def play(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Run a playbook of the repository; its exit code and what it says, in one line."""
        inputs = {
            "nvidia_driver_packages": [],
            "__nvidia_driver_root": THERE,
            "__nvidia_driver_smi": f"{THERE}/nvidia-smi",
            "__nvidia_driver_boot": f"cat {THERE}/boot-id",
            "__nvidia_driver_reboot": "/usr/bin/systemctl --force reboot",
        }
        done = onprem.play(self.folder, playbook, "--extra-vars", json.dumps(inputs), *arguments)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def node(self, name: str, **status: Any) -> None:
        """What a kubelet and a device plugin would say of a node."""
        said = {
            "capacity": {"nvidia.com/gpu": "8", "pods": "110"},
            "allocatable": {"nvidia.com/gpu": "8", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"kubeletVersion": f"v{KUBERNETES}", "bootID": boot()},
        }
        self.server.status(f"/api/v1/nodes/{name}", said | status)


def boot() -> str:
    """Number of this machine's start, which its containers share."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def inventory(folder: Path) -> dict[str, Any]:
    """One control plane that only has kubectl, and the GPU hosts."""

    def host(name: str, number: int) -> dict[str, Any]:
        return {
            "ansible_connection": "docker",
            "ansible_host": onprem.container(name),
            "node_address": f"172.29.71.{number}",
            "node_pod_subnet": f"10.246.{number}.0/24",
            "node_pool": "control" if name == "control-1" else "gpu",
            "node_kind": "control" if name == "control-1" else "gpu",
        }

    of_containers = {
        "node_container_subnet": SUBNET,
        "node_container_tools": "",
        "node_container_ports": [],
    }
    source = {"name": "simulated", "uris": [f"file:{THERE}/archive"], "suites": ["./"]}
    of_gpus = {
        "nvidia_driver_version": NEW,
        "package_sources_list": [source | {"key": str(folder / "simulated" / "archive.asc")}],
    }
    found = {
        name: host(name, number)
        | {"node_container_name": onprem.container(name)}
        | of_containers
        | of_gpus
        for number, name in enumerate(HOSTS, 11)
    }
    children = {
        "containers": {"hosts": found},
        "kubernetes": {"children": {"control_plane": None, "workers": None}},
        "control_plane": {"hosts": {"control-1": host("control-1", 5)}},
        "workers": {"children": {"gpu": None}},
        "gpu": {"hosts": dict.fromkeys(HOSTS)},
    }
    return {"all": {"children": children}}


def facts() -> dict[str, Any]:
    """What `yard up` writes down of this machine, as far as these playbooks ask for it."""
    images = [
        {"name": name, "reference": f"{name}:1", "kinds": ["control", "gpu"]}
        for name in ("pause", "etcd", "coredns")
    ]
    families = ("containerd", "etcd", "kubernetes")
    return {
        "tools": "",
        "versions": dict.fromkeys(families, KUBERNETES),
        "binaries": {name: {"kubectl": "/usr/local/bin/kubectl"} for name in families},
        "images": images,
        "resolvers": [],
    }


def simulated(folder: Path) -> Simulated:
    """A machine whose old driver runs, and an archive that has the new one."""
    made = Simulated(folder=folder)
    made.gpu()
    made.runs(OLD)
    made.write("nvidia-smi", SMI)
    made.write("boot", BOOT)
    made.write("boot-id", "first\n")
    made.write("simulated-boot.service", UNIT)
    archive = folder / "archive"
    archive.mkdir()
    names = ("nvidia-kernel-open-dkms", "nvidia-driver-cuda")
    debs = [
        packages.package(archive, name, f"{NEW}-1", {f"usr/share/{name}": ""}) for name in names
    ]
    packages.archive(archive, folder / "archive.asc", *debs)
    return made


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Hosts and their cluster, taken away at the end."""
    machine = simulated(folder / "simulated")
    cluster = folder / "cluster"
    cluster.mkdir()
    with (
        apiserver.running(cluster) as server,
        onprem.machines(folder, inventory(folder), facts()) as env,
    ):
        made = Ground(folder=folder, server=server)
        for name in HOSTS:
            _furnish(made, machine, name)
        onprem.control_plane(env, server.kubeconfig)
        yield made


def _furnish(made: Ground, machine: Simulated, name: str) -> None:
    host = made.host(name)
    outcomes.said(host, f"mkdir -p {THERE}; rm -f /etc/apt/sources.list")
    _docker("cp", "--quiet", f"{machine.folder}/.", f"{onprem.container(name)}:{THERE}")
    outcomes.said(host, f"cp {THERE}/simulated-boot.service /etc/systemd/system/")
    outcomes.said(host, "systemctl enable simulated-boot.service")
    made.server.create("/api/v1/nodes", {"metadata": {"name": name}})
    made.node(name)


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
