"""Ansible's commands as a person types them in this checkout."""

import os
import subprocess
import sys
from collections.abc import Sequence

from infra import places

ANSIBLE = places.REPOSITORY / "ansible"
LIMIT_S = 300


def line(*arguments: object) -> list[str]:
    """The words of `ansible` of this interpreter; the first is `playbook` or `inventory`."""
    return [sys.executable, "-m", "ansible", *map(str, arguments)]


def variables(**more: object) -> dict[str, str]:
    """The environment variables that Ansible needs here, and ``more``."""
    own = {"ANSIBLE_CONFIG": ANSIBLE / "ansible.cfg", "LC_ALL": "C.UTF-8"}
    return os.environ | {name: str(value) for name, value in {**own, **more}.items()}


def run(
    *arguments: object, descriptors: Sequence[int] = (), **more: object
) -> "subprocess.CompletedProcess[str]":
    """Run to the end, with ``more`` variables and these open descriptors."""
    return subprocess.run(
        line(*arguments), env=variables(**more), pass_fds=descriptors,
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
