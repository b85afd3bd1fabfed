"""The role base on a bare machine: a default and an alternative scenario, each run twice.

The machine is a container: kernel settings, audit, clock and firewall are written, not applied.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from testinfra.host import Host

from infra.environment import Environment
from tests.ansible import command
from tests.hosts import machines, outcomes

pytestmark = pytest.mark.scenarios
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJUBsfriAuA+UPEwQ0fLJuUSFMwZZfNIBRcJ7KKL/zGQ {}"
SHARED = {
    "base_firewall_control": ["192.0.2.11"],
    "base_firewall_nodes": ["192.0.2.0/24"],
    "base_firewall_admins": ["198.51.100.0/24"],
    "base_firewall_open": [],
}
SCENARIOS: dict[str, dict[str, Any]] = {
    "default": SHARED,
    "alternative": SHARED
    | {
        "base_users": [
            {"name": "ada", "keys": [KEY.format("ada")], "sudo": True},
            {"name": "ben", "keys": [KEY.format("ben")]},
            {"name": "eve", "state": "absent"},
        ],
        "base_ssh": {"PermitRootLogin": "no", "PasswordAuthentication": "no", "MaxAuthTries": "2"},
        "base_time_servers": ["192.0.2.53"],
        "base_sysctls": {"kernel.kptr_restrict": 1},
    },
}
Runs = Callable[..., tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine after two runs, and what each said."""

    scenario: str
    host: Host
    inputs: dict[str, Any]
    first: str
    second: str
    failed: bool
    """Whether the check failed when nothing had run yet."""


def check(host: Host, inputs: dict[str, Any]) -> None:
    """What the role promises, on one host."""
    told = outcomes.said(host, "/usr/sbin/sshd -T")
    assert "permitrootlogin no" in told
    assert "passwordauthentication no" in told
    sysctls = inputs.get("base_sysctls", {"kernel.dmesg_restrict": 1, "vm.overcommit_memory": 1})
    written = outcomes.configured(host, "/etc/sysctl.d/50-modelyard.conf")
    for name, value in sysctls.items():
        assert f"{name} = {value}\n" in written
    assert "-e 2" in outcomes.configured(host, "/etc/audit/rules.d/50-modelyard.rules")
    assert "Debian-Security" in outcomes.configured(host, "/etc/apt/apt.conf.d/52modelyard")
    assert "policy drop" in outcomes.configured(host, "/etc/modelyard/firewall.nft")
    for user in inputs.get("base_users", []):
        there = host.user(user["name"]).exists
        assert there is (user.get("state") != "absent")
        for key in user.get("keys", []):
            path = f"/home/{user['name']}/.ssh/authorized_keys"
            assert host.file(path).content_string.split() == key.split()
            assert host.file(path).mode == 0o600


def _run(folder: Path, name: str, inputs: dict[str, Any], *arguments: str) -> tuple[int, str]:
    play = {"name": "Harden", "hosts": "all", "gather_facts": False, "roles": [{"role": "base"}]}
    (folder / "base.yml").write_text(yaml.safe_dump([play]))
    (folder / "inputs.json").write_text(json.dumps(inputs))
    connection = {"ansible_connection": "docker", "ansible_host": name}
    inventory = {"all": {"hosts": {"machine": connection}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    done = command.run(
        *("playbook", "--inventory", folder / "hosts.yml", "--extra-vars"),
        *(f"@{folder}/inputs.json", *arguments, folder / "base.yml"),
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", params=SCENARIOS)
def machine(
    request: pytest.FixtureRequest,
    env: Environment,
    engine_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    """A bare machine, its role run in check mode, then twice."""
    folder = tmp_path_factory.mktemp("base")
    name, inputs = f"modelyard-test-base-{request.param}", SCENARIOS[request.param]
    key = folder / "ops.pub"
    key.write_text(KEY.format("ops"))
    with machines.bare(
        engine_client, env, name,
        # A machine that people may enter has an SSH server with keys of its own.
        environment={"MODELYARD_SSH_USER": "ops"},
        volumes={str(key): {"bind": "/etc/modelyard-ssh.pub", "mode": "ro"}},
    ) as host:  # fmt: skip
        failed = machines.fails(check, host, inputs)
        rehearsed, first, second = machines.thrice(partial(_run, folder, name, inputs))
        assert "changed=0" not in rehearsed
        yield Machine(
            scenario=request.param, host=host, inputs=inputs, first=first, second=second,
            failed=failed,
        )  # fmt: skip


def test_the_check_failed_before_the_role_ran(machine: Machine) -> None:
    assert machine.failed


def test_a_machine_is_as_the_role_promises(machine: Machine) -> None:
    check(machine.host, machine.inputs)


def test_a_second_run_changes_nothing_on_a_machine(machine: Machine) -> None:
    assert "changed=0 " not in machine.first
    assert "changed=0 " in machine.second


def test_the_user_whom_ansible_enters_as_is_left_alone(machine: Machine) -> None:
    assert machine.host.user("ops").exists
    assert machine.host.service("ssh.service").is_running


def test_what_the_machine_shares_is_written_and_not_applied(machine: Machine) -> None:
    assert not machine.host.service("modelyard-firewall.service").is_running
    for name in ("kernel/dmesg_restrict", "kernel/kptr_restrict"):
        here = Path("/proc/sys", name).read_text()
        assert machine.host.file(f"/proc/sys/{name}").content_string == here


def test_only_those_with_a_right_become_root(machine: Machine) -> None:
    if machine.scenario == "alternative":
        assert machine.host.run("runuser -u ada -- sudo -n id -u").stdout.strip() == "0"
        assert machine.host.run("runuser -u ben -- sudo -n id -u").rc != 0
    else:
        assert "ALL" not in machine.host.file("/etc/sudoers.d/50-modelyard").content_string
