"""Playbooks over the example `onprem`, with hosts that are this machine or nobody."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.ansible import command
from tests.ansible.command import ANSIBLE

HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
"""A host that does not answer: nobody listens there."""
Group = dict[str, dict[str, dict[str, object]]]


def hosts(*names: str, **more: object) -> Group:
    """Hosts of a group, each with ``more`` variables; by themselves they are this machine."""
    facts = {"node_pod_subnet": "10.246.1.0/24", "node_pool": "control", "node_kind": "control"}
    return {"hosts": {name: {"node_address": "192.0.2.1", **facts, **more} for name in names}}


def play(
    folder: Path,
    groups: Mapping[str, Group],
    playbook: str,
    *arguments: str,
    descriptors: Sequence[int] = (),
    **more: object,
) -> "subprocess.CompletedProcess[str]":
    """Run a playbook of the repository without root's rights; ``more`` is its environment."""
    inventory = folder / "inventories" / "onprem"
    inventory.mkdir(parents=True, exist_ok=True)
    nodes = {"children": {"control_plane": None, "workers": None}}
    document = {"all": {"children": {"kubernetes": nodes, **groups}, "vars": HERE}}
    (inventory / "hosts.yml").write_text(yaml.safe_dump(document))
    return command.run(
        *("playbook", "--inventory", inventory, "--extra-vars", "ansible_become=false"),
        *(*arguments, ANSIBLE / "playbooks" / f"{playbook}.yml"),
        descriptors=descriptors,
        XDG_STATE_HOME=folder / "state",
        **more,
    )
