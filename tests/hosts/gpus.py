"""A simulated GPU machine: files as the kernel shows them, and programs that speak as others do.

Everything here is simulated; no host of these tests has a GPU.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.ansible import command
from tests.hosts import machines

THERE = "/srv/simulated"
"""Where the machine's folder lies in its container."""
JOINED = "/etc/kubernetes/kubelet.conf"
"""What a host has from the day on which it joined."""
A100 = "0x20b0"
OWNERS_KEYS = "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Folder of a simulated machine on this one."""

    folder: Path

    def write(self, path: str, content: str | bytes) -> None:
        """A file of the machine; one with #! may be run."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        raw = content.encode() if isinstance(content, str) else content
        file.write_bytes(raw)
        file.chmod(0o755 if raw.startswith(b"#!") else 0o644)

    def remove(self, path: str) -> None:
        """Take a file away."""
        (self.folder / path).unlink()

    def gpu(self, device: str = A100, kernel: str = "6.1.0-48-amd64") -> None:
        """One GPU on the bus, beside another device of the same vendor."""
        for address, kind, number in (
            ("3b:00.0", "0x030200", device),
            ("3b:00.1", "0x040300", "0x10f0"),
        ):
            place = f"sys/bus/pci/devices/0000:{address}"
            self.write(f"{place}/vendor", "0x10de\n")
            self.write(f"{place}/class", f"{kind}\n")
            self.write(f"{place}/device", f"{number}\n")
        self.write("proc/sys/kernel/osrelease", f"{kernel}\n")

    def secure_boot(self, *certificates: bytes) -> None:
        """Secure boot is on, and the owner enrolled these certificates."""
        variables = "sys/firmware/efi/efivars"
        self.write(f"{variables}/{SECURE_BOOT}", b"\x06\0\0\0\x01")
        self.write(
            f"{variables}/{OWNERS_KEYS}", b"\x06\0\0\0" + 44 * b"\0" + b"".join(certificates)
        )

    def runs(self, version: str) -> None:
        """A driver is loaded."""
        self.write("sys/module/nvidia/version", f"{version}\n")


def play(
    folder: Path, container: str, roles: list[str], inputs: dict[str, Any], *arguments: str
) -> tuple[int, str]:
    """Run roles on a container; its exit code and what it says, in one line."""
    document = {
        "name": "Make the GPUs usable",
        "hosts": "all",
        "gather_facts": False,
        "roles": [{"role": role} for role in roles],
    }
    (folder / "gpu.yml").write_text(yaml.safe_dump([document]))
    (folder / "inputs.json").write_text(json.dumps(inputs))
    connection = {"ansible_connection": "docker", "ansible_host": container}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"gpu-1": connection}}}))
    done = command.run(
        *("playbook", "--inventory", folder / "hosts.yml", "--extra-vars"),
        *(f"@{folder}/inputs.json", *arguments, folder / "gpu.yml"),
        COLUMNS="1000",
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def changes(said: str) -> set[str]:
    """Tasks that a run reports as changed, or a rehearsal as what a run would change."""
    return {change.removeprefix("gpu-1: ") for change in machines.named(said)}


def kubectl(node: dict[str, Any], *pods: dict[str, Any]) -> str:
    """A simulated kubectl that prints recorded answers to `get nodes` and `get pods`."""
    answers = {"nodes": {"items": [node]}, "pods": {"items": list(pods)}}
    cases = "\n".join(
        f"*' get {name} '*) cat <<'EOF'\n{json.dumps(answer)}\nEOF\n;;"
        for name, answer in answers.items()
    )
    return f'#!/bin/sh\n# Simulated.\ncase " $* " in\n{cases}\n*) exit 1 ;;\nesac\n'


def mounts(simulated: Simulated, **more: str) -> dict[str, dict[str, str]]:
    """Volumes of a container: the simulated machine, and files of it at other places."""
    found = {str(simulated.folder): {"bind": THERE, "mode": "ro"}}
    for name, target in more.items():
        found[os.fspath(simulated.folder / name)] = {"bind": target, "mode": "ro"}
    return found
