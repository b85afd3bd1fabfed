"""What a machine is, before anything is installed on it; changes nothing."""

import os
import platform
import pwd
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: machine_facts
short_description: system, rights, free space and clock of a machine
description:
  - Asks as the user whom Ansible enters as, so that a missing right is an answer and not a failure.
options:
  disks:
    description: Paths; the free space of their file systems is told, also where they would be made.
    type: list
    elements: path
  folders:
    description: Paths; told are those that are no folder.
    type: list
    elements: path
"""
OPTIONS: dict[str, dict[str, Any]] = {
    "disks": {"type": "list", "elements": "path", "default": ["/"]},
    "folders": {"type": "list", "elements": "path", "default": []},
}
GIB = 2**30
PATIENCE_S = 10


def main() -> None:
    """Observe."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    release = platform.freedesktop_os_release()
    machine = {
        "system": release.get("PRETTY_NAME", release["ID"]),
        "family": release["ID"],
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "becomes_root": os.geteuid() == 0 or _may_become_root(),
        "free_gib": {path: _free(path) for path in module.params["disks"]},
        "absent": [path for path in module.params["folders"] if not os.path.isdir(path)],  # noqa: PTH112
        "time": time.time(),
    }
    module.exit_json(changed=False, machine=machine)


def _may_become_root() -> bool:
    try:
        # Without a terminal and with -n it never asks.
        done = subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _free(path: str) -> float:
    while not os.path.exists(path):  # noqa: PTH110 - of a host's Python, whichever it is
        path = os.path.dirname(path)  # noqa: PTH120
    found = os.statvfs(path)
    return round(found.f_bavail * found.f_frsize / GIB, 1)


if __name__ == "__main__":
    main()
