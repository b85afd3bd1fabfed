"""What a machine is, before anything is installed on it; changes nothing.

Also on a system that is refused for its age: nothing here is newer than Python 3.8.
"""

from __future__ import annotations

import os
import pwd
import shlex
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
    description: Paths; what their file systems have free is told, also where they would be made.
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
    release = _release()
    room = {path: _room(path) for path in module.params["disks"]}
    machine = {
        "system": release.get("PRETTY_NAME", "nothing that it calls itself"),
        "family": release.get("ID", ""),
        "release": release.get("VERSION_ID", ""),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "becomes_root": os.geteuid() == 0 or _may_become_root(),
        "free_gib": {path: free for path, (free, _) in room.items()},
        "inodes_free_percent": {path: inodes for path, (_, inodes) in room.items()},
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


def _release() -> dict[str, str]:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:  # noqa: PTH123
            words = shlex.split(file.read(), comments=True)
    except FileNotFoundError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


def _room(path: str) -> tuple[float, int]:
    while not os.path.exists(path):  # noqa: PTH110 - of a host's Python, whichever it is
        path = os.path.dirname(path)  # noqa: PTH120
    found = os.statvfs(path)
    # Some file systems make inodes as they need them, and count none.
    inodes = round(100 * found.f_favail / found.f_files) if found.f_files else 100
    return round(found.f_bavail * found.f_frsize / GIB, 1), inodes


if __name__ == "__main__":
    main()
