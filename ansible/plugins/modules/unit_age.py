"""Which files were written since a unit of systemd began, or was last reloaded; changes nothing."""

from __future__ import annotations

import os
from datetime import datetime

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: unit_age
short_description: files that a running unit has not read yet
description:
  - Compares when a file was written or linked here (ctime, because what is unpacked brings the
    mtime of its maker) with the time at which the unit began. Of a link it is the link that counts.
options:
  name:
    description: The unit.
    type: str
    required: true
  files:
    description: Paths; one that is not there is passed over.
    type: list
    elements: path
    required: true
  reloads:
    description: Whether a reload reads the files, too, and not a start alone.
    type: bool
"""
OPTIONS = {
    "name": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "path", "required": True},
    "reloads": {"type": "bool", "default": False},
}
ASKED = "ActiveState,InactiveExitTimestamp,StateChangeTimestamp,ReloadResult"
WRITTEN = "%a %Y-%m-%d %H:%M:%S.%f %z"


def main() -> None:
    """Compare."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    given = module.params
    command = ["systemctl", "show", "--timestamp=us+utc", "--property", ASKED, given["name"]]
    _, shown, _ = module.run_command(command, check_rc=True)
    began = since(shown, given["reloads"])
    unread = [] if began is None else newer(given["files"], began)
    module.exit_json(changed=False, unread=unread)


def since(shown: str, reloads: bool) -> float | None:
    """When the unit last read its files, in seconds of the epoch; None of one that does not run.

    systemd forgets when a reload began as soon as it reads its units anew, and not when it ended.
    """
    told = dict(line.split("=", 1) for line in shown.splitlines())
    if told["ActiveState"] in ("inactive", "failed"):
        return None
    reloaded = reloads and told.get("ReloadResult") == "success"
    moment = told["StateChangeTimestamp" if reloaded else "InactiveExitTimestamp"]
    return datetime.strptime(moment.replace("UTC", "+0000"), WRITTEN).timestamp()


def newer(files: list[str], moment: float) -> list[str]:
    """Those that were written after that moment."""
    there = [path for path in files if os.path.lexists(path)]
    return [path for path in there if os.lstat(path).st_ctime > moment]


if __name__ == "__main__":
    main()
