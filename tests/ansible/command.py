"""Ansible's commands as a person types them in this checkout."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

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


def refused(folder: Path, plays: Sequence[object], hosts: Mapping[str, object]) -> str:
    """What plays say over hosts that are this machine, in one line a host; one must be refused."""
    (folder / "refuse.yml").write_text(yaml.safe_dump([*plays]))
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {**hosts}}}))
    done = run(
        *("playbook", "--connection", "local", "--inventory", folder / "hosts.yml"),
        folder / "refuse.yml",
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout
