"""A mirror and two edge hosts, bare, on a network of their own; images for them to run.

They belong to the environment `onprem`, as the inventory `edge` does, with a state folder of the
test's own. No cluster is needed.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host

from ci.pipeline import oci
from ci.toolchain import provide
from infra.environment import Environment
from tests.hosts import onprem

ADDRESSES = {"mirror-1": "172.29.70.5", "edge-1": "172.29.70.11", "edge-2": "172.29.70.12"}
SUBNET = "172.29.70.0/24"
NETWORK = "modelyard-onprem"
REGISTRY = "registry.modelyard.internal"
NONE = f"sha256:{64 * 'a'}"
ENDPOINT = f"https://{ADDRESSES['mirror-1']}:5000"
EDGE: dict[str, Any] = {
    "edge_runtime_endpoint": ENDPOINT,
    "edge_service_name": "digits",
    "edge_service_version": "1.0.0",
    "edge_service_memory": "384Mi",
    "edge_service_digest": NONE,
}
"""What the inventory says of each edge host."""
ALTERNATIVE: dict[str, Any] = {
    "edge_service_address": ADDRESSES["edge-2"],
    "edge_service_port": 8080,
    "edge_service_cpus": 0.5,
    "edge_service_tasks": 100,
    "edge_service_health_seconds": 5,
    "edge_runtime_journal_mib": 16,
}


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Three machines, their inventory, and what they are given."""

    folder: Path
    env: Environment

    def host(self, name: str) -> Host:
        """A machine as testinfra sees it."""
        return onprem.host(name)

    def play(self, playbook: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a playbook of the repository as a person would."""
        return onprem.play(self.folder, playbook, *arguments, inventory="edge")

    def edge(
        self, digest: str, *arguments: str, version: str = "1.0.0"
    ) -> "subprocess.CompletedProcess[str]":
        """Run edge.yml for a digest; the service does not start under another version's name."""
        inputs = {
            "edge_service_digest": digest,
            "edge_service_version": version,
            "edge_service_patience": 45,
        }
        return self.play("edge", "--extra-vars", json.dumps(inputs), *arguments)

    @contextmanager
    def but(self, edge: dict[str, dict[str, Any]]) -> Iterator[None]:
        """For a while more edge hosts behind the inventory's, or other variables of these."""
        # Ansible reads the files of an inventory in the order of their names.
        file = self.folder / "inventories" / "edge" / "more.yml"
        file.write_text(yaml.safe_dump({"edge": {"hosts": edge}}))
        try:
            yield
        finally:
            file.unlink()

    def put(self, layout: Path, version: str) -> None:
        """Copy an image into the mirror, by way of the mirror's own loopback."""
        pid = said("docker", "inspect", "--format", "{{.State.Pid}}", onprem.container("mirror-1"))
        target = f"docker://127.0.0.1:5001/digits:{version}"
        copy = ["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]
        said("nsenter", "--net", "--target", pid, *copy, f"oci:{layout}:{version}", target)


def said(*words: str) -> str:
    """What a command of this machine prints; AssertionError when it fails."""
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def inventory() -> dict[str, Any]:
    """Machines that this machine makes itself, and that are otherwise like a team's own."""
    # Of each host: what a file says of a group here, the playbooks' group_vars/all would overrule.
    shared = {
        "ansible_connection": "docker",
        "node_kind": "cpu",
        "node_container_subnet": SUBNET,
        "node_container_tools": "",
        "node_container_ports": [],
        "node_container_ssh_user": "ops",
    }
    more: dict[str, dict[str, Any]] = {
        "mirror-1": {},
        "edge-1": EDGE,
        "edge-2": EDGE | ALTERNATIVE,
    }
    of_hosts = {
        name: {
            "ansible_host": onprem.container(name),
            "node_container_name": onprem.container(name),
            "node_address": address,
            **shared,
            **more[name],
        }
        for name, address in ADDRESSES.items()
    }
    edge = {name: None for name in ADDRESSES if name.startswith("edge")}
    children = {
        "containers": {"hosts": of_hosts},
        "mirrors": {"hosts": {"mirror-1": None}},
        "edge": {"hosts": edge},
    }
    return {"all": {"children": children}}


def facts() -> dict[str, Any]:
    """What `yard up` writes down of this machine, as far as these roles ask for it."""
    registry = provide.find("distribution")
    assert registry is not None, "distribution was never built. Run `.venv/bin/yard up test`."
    return {"binaries": {"distribution": {"registry": str(registry.file("bin/registry"))}}}


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Bare machines, taken away at the end."""
    with onprem.machines(folder, inventory(), facts(), inventory="edge") as env:
        yield Ground(folder=folder, env=env)


def variant(layout: Path, target: Path, version: str, entrypoint: list[str]) -> str:
    """The image of a layout with another command; returns its digest."""
    pointer = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = json.loads(oci.blob(layout, pointer["digest"]).read_text())
    config = json.loads(oci.blob(layout, manifest["config"]["digest"]).read_text())
    layers = [
        oci.Layer(
            path=oci.blob(layout, one["digest"]), digest=one["digest"], diff_id=inside,
            size=one["size"], unpacked=0, made_by="",
        )
        for one, inside in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    ]  # fmt: skip
    shutil.rmtree(target, ignore_errors=True)
    return oci.image(layers, config["config"] | {"Entrypoint": entrypoint}, version, target)
