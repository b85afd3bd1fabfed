"""Observe one host and what it reaches; changes nothing, judges nothing, and does not fail."""

import ctypes
import glob
import os
import re
import socket
import ssl
import struct
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: host_report
short_description: what a host is and what it reaches, without changing anything
description:
  - Asks units, runtime, certificates, disks and drivers. Asks the network from inside a pod of the
    node where one runs (its network namespace), else from the host; `from` says which. Where a
    NetworkPolicy may keep that pod from asking, `from_pod` is false.
  - A question that has no answer yields its complaint as text, so that one fault hides no other.
options:
  units:
    description: Units that have to run.
    type: list
    elements: str
  certificates:
    description: Patterns of certificate files.
    type: list
    elements: str
  disks:
    description: Paths whose file systems have to have room.
    type: list
    elements: str
  name_server:
    description: Address of the cluster's DNS.
    type: str
  name:
    description: Name that it has to know.
    type: str
  from_pod:
    description: Whether to ask from inside a pod where one runs.
    type: bool
  service:
    description: Address and port of a Service.
    type: str
  registry:
    description: Address and port of the registry.
    type: str
  registry_ca:
    description: CA that the registry proves itself by.
    type: str
  pods:
    description: Address and port of a pod by the name of its node.
    type: dict
  answers:
    description: Address of a page by the name of the service that has to answer there.
    type: dict
  image:
    description: Program of an edge host that says which image is wanted and which is ready.
    type: path
"""
OPTIONS: dict[str, dict[str, Any]] = {
    "units": {"type": "list", "elements": "str", "default": []},
    "certificates": {"type": "list", "elements": "str", "default": []},
    "disks": {"type": "list", "elements": "str", "default": ["/"]},
    "name_server": {"type": "str"},
    "name": {"type": "str"},
    "from_pod": {"type": "bool", "default": True},
    "service": {"type": "str"},
    "registry": {"type": "str"},
    "registry_ca": {"type": "str"},
    "pods": {"type": "dict", "default": {}},
    "answers": {"type": "dict", "default": {}},
    "image": {"type": "path"},
}
PATIENCE_S = 3
DNS_PORT = 53
NETWORK_NAMESPACE = 0x40000000
SUCCESS = ""


def main() -> None:
    """Observe."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    wanted = module.params
    seen = {
        "time": time.time(),
        "container": Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
        "system": system(),
        "kernel": os.uname().release,
        "containerd": said("/usr/local/bin/ctr", "version"),
        "kubelet": said("/usr/local/bin/kubelet", "--version"),
        "units": {unit: said("systemctl", "is-active", unit) for unit in wanted["units"]},
        "certificates": {
            path: days(path)
            for pattern in wanted["certificates"]
            for path in sorted(glob.glob(pattern))  # noqa: PTH207 - patterns are absolute
        },
        "disks": {path: room(path) for path in wanted["disks"] if Path(path).exists()},
        "gpus": gpus(),
        "driver": running_driver(),
        "driver_next": next_driver(),
        "parts": re.findall(r"^\s+MIG (\S+)\s+Device", said("nvidia-smi", "-L"), re.MULTILINE),
        "synchronized": said("timedatectl", "show", "--property", "NTPSynchronized", "--value"),
    }
    # The registry serves the host's own runtime. What follows moves into a pod's network, for good.
    if wanted["registry"]:
        seen["registry"] = speaks(wanted["registry"], wanted["registry_ca"])
    seen["answers"] = {name: page(url) for name, url in wanted["answers"].items()}
    if wanted["image"]:
        seen["image"] = said("python3", wanted["image"], "state")
    seen["from"] = enter_pod() if wanted["from_pod"] else "host"
    if wanted["name_server"]:
        seen["dns"] = knows(wanted["name_server"], wanted["name"])
    if wanted["service"]:
        seen["service"] = reaches(wanted["service"], "nobody is behind it")
    seen["pods"] = {node: reaches(pod) for node, pod in wanted["pods"].items()}
    module.exit_json(changed=False, report=seen)


def said(*command: str) -> str:
    """What a command prints, its complaint, or that it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"complaint: {error}"
    complaint = " ".join(done.stderr.split()) or f"it exits with {done.returncode}"
    return done.stdout.strip() or f"complaint: {complaint}"


def system() -> str:
    """Distribution and its version, such as Debian 12."""
    lines = Path("/etc/os-release").read_text().splitlines()
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    identity = facts.get("ID", "unknown").strip('"').capitalize()
    return f"{identity} {facts.get('VERSION_ID', '').strip(chr(34))}".strip()


def days(path: str) -> Any:
    """Days until a certificate ends, or a complaint."""
    text = said("openssl", "x509", "-noout", "-enddate", "-in", path)
    if not text.startswith("notAfter="):
        return text
    ends = ssl.cert_time_to_seconds(text.removeprefix("notAfter="))
    return round((ends - time.time()) / 86400, 1)


def room(path: str) -> dict[str, float]:
    """Free GiB and free inodes in percent; 100 where a file system counts none."""
    found = os.statvfs(path)
    inodes = 100 * found.f_favail / found.f_files if found.f_files else 100
    return {
        "free_gib": round(found.f_bavail * found.f_frsize / 2**30, 1),
        "inodes_percent": round(inodes),
    }


def gpus() -> Any:
    """GPUs that the driver shows, or a complaint."""
    text = said("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
    return text if text.startswith("complaint:") else len(text.splitlines())


def running_driver() -> str:
    """Version of the GPU driver in the kernel; '' where there is none."""
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if version.exists() else ""


def next_driver() -> str:
    """Version of the GPU driver that the next start loads, or a complaint."""
    names = ("nvidia", "nvidia-current", "nvidia-current-open")  # the last two are Debian's
    found = [said("modinfo", "--field", "version", name) for name in names]
    return next((one for one in found if not one.startswith("complaint:")), found[0])


def enter_pod() -> str:
    """Move this process into the network of a pod of the node; says whose network it is in now."""
    for path in sorted(Path("/run/netns").glob("cni-*")):
        with path.open() as file:
            if ctypes.CDLL(None).setns(file.fileno(), NETWORK_NAMESPACE) == 0:
                return "pod"
    return "host"


def reaches(place: str, refused: str = SUCCESS) -> str:
    """'' when somebody answers at ADDRESS:PORT. A pod's refusal is an answer, silence is none."""
    address, port = place.rsplit(":", 1)
    try:
        socket.create_connection((address, int(port)), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return refused
    except OSError as error:
        return str(error)
    return SUCCESS


def speaks(place: str, authority: str) -> str:
    """'' when a registry answers there that the CA vouches for; without an account it says 401."""
    address, port = place.rsplit(":", 1)
    try:
        context = ssl.create_default_context(cafile=authority)
        with (
            socket.create_connection((address, int(port)), timeout=PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=address) as secure,
        ):
            secure.sendall(f"GET /v2/ HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
            status = secure.recv(4096).split(b"\r\n")[0].decode()
    except OSError as error:  # ssl.SSLError is one
        return str(error)
    return SUCCESS if status.split()[1:2] in (["200"], ["401"]) else f"it answers {status}"


def page(url: str) -> str:
    """'' when a page has the status 200."""
    try:
        urllib.request.urlopen(url, timeout=PATIENCE_S).close()  # noqa: S310 - the playbook says http
    except OSError as error:
        return str(error)
    return SUCCESS


def knows(server: str, name: str) -> str:
    """'' when a name server has an address for a name; one question over UDP."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    asked = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + question + b"\0" + struct.pack(">2H", 1, 1)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.settimeout(PATIENCE_S)
            talk.sendto(asked, (server, DNS_PORT))
            answer = talk.recv(512)
    except OSError as error:
        return str(error) or "no answer"
    code, answers = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
    return SUCCESS if code == 0 and answers else f"{name} is not known (code {code})"


if __name__ == "__main__":
    main()
