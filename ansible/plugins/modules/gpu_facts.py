"""What a host's GPUs and their driver are, read from the kernel; changes nothing."""

import base64
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: gpu_facts
short_description: GPUs, driver, nouveau and secure boot of a host
description:
  - Reads /sys and /proc and asks no program, so that it answers before a driver is there.
options:
  certificate:
    description: Certificate (DER, base64) that modules are signed with.
    type: str
  root:
    description: Folder in which sys and proc lie. Tests put a simulated machine there.
    type: path
"""
OPTIONS: dict[str, dict[str, Any]] = {
    "certificate": {"type": "str", "default": ""},
    "root": {"type": "path", "default": "/"},
}
NVIDIA = "0x10de"
DISPLAY = "0x03"
"""Class of display controllers; NVIDIA's switches and audio devices have others."""
SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
OWNERS_KEYS = "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"


def main() -> None:
    """Observe."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    root = Path(module.params["root"])
    certificate = base64.b64decode(module.params["certificate"])
    module.exit_json(changed=False, **observe(root, certificate))


def observe(root: Path, certificate: bytes = b"") -> dict[str, Any]:
    """GPUs by PCI device ID, the running kernel and driver, and who may add modules to it."""
    variables = root / "sys/firmware/efi/efivars"
    return {
        "devices": devices(root / "sys/bus/pci/devices"),
        "kernel": text(root / "proc/sys/kernel/osrelease"),
        "running": text(root / "sys/module/nvidia/version"),
        "nouveau": (root / "sys/module/nouveau").exists(),
        # Four bytes of attributes, then the value. A machine without UEFI has no such file.
        "secure_boot": content(variables / SECURE_BOOT)[4:] == b"\x01",
        "enrolled": bool(certificate) and certificate in content(variables / OWNERS_KEYS),
    }


def devices(bus: Path) -> list[str]:
    """Device IDs of NVIDIA's display controllers, one for each GPU."""
    found = [one for one in sorted(bus.glob("*")) if text(one / "vendor") == NVIDIA]
    gpus = [one for one in found if text(one / "class").startswith(DISPLAY)]
    return [text(one / "device").removeprefix("0x") for one in gpus]


def text(path: Path) -> str:
    """A file's text; '' where there is none."""
    return content(path).decode(errors="replace").strip()


def content(path: Path) -> bytes:
    """A file's bytes; none where it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


if __name__ == "__main__":
    main()
