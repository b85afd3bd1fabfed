"""The role base on three machines: a default and an alternative scenario, and one that applies all.

The machines are containers. On the first two kernel settings, audit, clock and firewall are
written, not applied; the third is told that it is a machine, and applies what a container has of
its own: the network's settings, and Debian's nft.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.hosts import onprem, outcomes
from tests.hosts.machines import fails, named, of, thrice

pytestmark = pytest.mark.scenarios
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJUBsfriAuA+UPEwQ0fLJuUSFMwZZfNIBRcJ7KKL/zGQ {}"
ADDRESSES = {
    "default": "172.29.74.11",
    "alternative": "172.29.74.12",
    "applied": "172.29.74.13",
}
SHARED = {
    "base_firewall_control": ["192.0.2.11"],
    "base_firewall_nodes": ["192.0.2.0/24"],
    "base_firewall_admins": ["198.51.100.0/24"],
    "base_firewall_open": [{"port": "10250", "from": "nodes", "why": "kubelet"}],
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
        "base_ssh": {"PasswordAuthentication": "no", "MaxAuthTries": "2", "LoginGraceTime": "1m"},
        "base_time_servers": ["192.0.2.53"],
        "base_sysctls": {"kernel.kptr_restrict": 1},
    },
    "applied": SHARED
    | {
        "base_sysctls": {"net.ipv4.tcp_syncookies": 2, "net.ipv4.conf.all.accept_redirects": 0},
        "base_packages": ["nftables"],
    },
}
APPLIED = ("preflight", "install", "users", "ssh", "kernel", "firewall", "verify")
"""Pages that need nothing of a machine's own kernel but its network."""
RULES = "nft list table inet modelyard"
CONTAINERS = ("default", "alternative")


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The machines after a rehearsal and two runs, and what those named.

    ``failed`` are those whose check failed when nothing had run yet.
    """

    folder: Path
    named: list[set[str]]
    failed: set[str]

    def play(self, *arguments: str) -> tuple[int, str]:
        """Run the role; its exit code and all that it says."""
        done = onprem.play(self.folder, self.folder / "base.yml", *arguments)
        return done.returncode, done.stdout + done.stderr


def check(name: str) -> None:
    """What the role promises, on one machine."""
    host, inputs = onprem.host(name), SCENARIOS[name]
    told = outcomes.said(host, "/usr/sbin/sshd -T")
    assert "passwordauthentication no" in told
    sysctls = inputs.get("base_sysctls", {"kernel.dmesg_restrict": 1, "vm.overcommit_memory": 1})
    written = outcomes.configured(host, "/etc/sysctl.d/50-modelyard.conf")
    for setting, value in sysctls.items():
        assert f"{setting} = {value}\n" in written
    assert "policy drop" in outcomes.configured(host, "/etc/modelyard/firewall.nft")
    if name == "applied":
        assert outcomes.said(host, "sysctl --values net.ipv4.tcp_syncookies").strip() == "2"
        assert 'tcp dport 10250 accept comment "kubelet"' in outcomes.said(host, RULES)
        assert host.service("modelyard-firewall.service").is_enabled
        return
    assert "-e 2" in outcomes.configured(host, "/etc/audit/rules.d/50-modelyard.rules")
    assert "Debian-Security" in outcomes.configured(host, "/etc/apt/apt.conf.d/52modelyard")
    for user in inputs.get("base_users", []):
        there = host.user(user["name"]).exists
        assert there is (user.get("state") != "absent")
        for key in user.get("keys", []):
            path = f"/home/{user['name']}/.ssh/authorized_keys"
            assert host.file(path).content_string.split() == key.split()
            assert host.file(path).mode == 0o600


def _playbook(folder: Path) -> None:
    shared = {"gather_facts": False, "become": True}
    whole = {"name": "Harden", "hosts": "all:!applied", "roles": [{"role": "base"}]}
    pages = [
        {"name": page, "ansible.builtin.import_role": {"name": "base", "tasks_from": page}}
        for page in APPLIED
    ]
    apply = {"name": "Apply", "vars": {"__base_machine": True}, "block": pages}
    part = {"name": "Harden and apply", "hosts": "applied", "tasks": [apply]}
    (folder / "base.yml").write_text(yaml.safe_dump([shared | whole, shared | part]))


def _inventory() -> dict[str, Any]:
    """Containers that are made as those of an environment, and are no nodes."""
    shared = {
        "ansible_connection": "docker",
        "node_container_subnet": "172.29.74.0/24",
        "node_container_tools": "",
        "node_container_ports": [],
        # A machine that people may enter has an SSH server with keys of its own.
        "node_container_ssh_user": "ops",
    }
    found = {
        name: shared
        | {
            "ansible_host": onprem.container(name),
            "node_address": address,
            "node_container_name": onprem.container(name),
        }
        | SCENARIOS[name]
        for name, address in ADDRESSES.items()
    }
    return {"all": {"children": {"containers": {"hosts": found}}}}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("base")
    _playbook(folder)
    with onprem.machines(folder, _inventory(), {"binaries": {}}):
        outcomes.said(onprem.host("applied"), "apt-get update")
        found = Machines(
            folder=folder, named=[], failed={name for name in ADDRESSES if fails(check, name)}
        )
        found.named.extend(map(named, thrice(found.play)))
        yield found


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_check_failed_before_the_role_ran(machines: Machines, name: str) -> None:
    assert name in machines.failed


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("name", ADDRESSES)
def test_a_machine_is_as_the_role_promises(name: str) -> None:
    check(name)


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_rehearsal_names_what_a_run_changes_and_a_second_run_changes_nothing(
    machines: Machines, name: str
) -> None:
    rehearsed, first, second = of(name, machines.named)

    assert first
    assert rehearsed == first
    assert second == set()


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("name", ADDRESSES)
def test_the_user_whom_ansible_enters_as_is_left_alone(name: str) -> None:
    assert onprem.host(name).user("ops").exists
    assert onprem.host(name).service("ssh.service").is_running


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("name", CONTAINERS)
def test_what_the_machine_shares_is_written_and_not_applied(name: str) -> None:
    host = onprem.host(name)
    assert not host.service("modelyard-firewall.service").is_running
    for setting in ("kernel/dmesg_restrict", "kernel/kptr_restrict"):
        here = Path("/proc/sys", setting).read_text()
        assert host.file(f"/proc/sys/{setting}").content_string == here


@pytest.mark.usefixtures("machines")
def test_only_those_with_a_right_become_root() -> None:
    host = onprem.host("alternative")
    assert host.run("runuser -u ada -- sudo -n id -u").stdout.strip() == "0"
    assert host.run("runuser -u ben -- sudo -n id -u").rc != 0
    assert "ALL" not in onprem.host("default").file("/etc/sudoers.d/50-modelyard").content_string


def _rules(host: Host) -> str:
    return outcomes.said(host, RULES)


def test_what_was_written_and_not_read_is_read_by_the_next_run(machines: Machines) -> None:
    """As after a run that was killed; who wrote the files reported them."""
    written, applied = onprem.host("default"), onprem.host("applied")
    outcomes.write_anew(written, "/etc/ssh/sshd_config.d/10-modelyard.conf")
    outcomes.write_anew(applied, "/etc/systemd/system/modelyard-firewall.service")
    units = {written: "ssh.service", applied: "modelyard-firewall.service"}
    before = {host: outcomes.changed_last(host, unit) for host, unit in units.items()}
    began = outcomes.began(written, "ssh.service")

    code, said = machines.play()

    assert (code, named(said)) == (0, set()), said
    after = {host: outcomes.changed_last(host, unit) for host, unit in units.items()}
    assert [host for host in units if before[host] == after[host]] == []
    assert outcomes.began(written, "ssh.service") == began
    assert machines.play()[0] == 0
    assert after == {host: outcomes.changed_last(host, unit) for host, unit in units.items()}


def test_rules_and_settings_that_do_not_hold_are_named_and_set_again(machines: Machines) -> None:
    host = onprem.host("applied")
    rules = _rules(host)
    outcomes.said(host, "nft flush chain inet modelyard input")
    outcomes.said(host, "sysctl --write net.ipv4.tcp_syncookies=1")
    expected = {
        "applied: base : firewall | Load the rules where others hold",
        "applied: base : kernel | Apply the settings",
    }

    rehearsed = named(machines.play("--check")[1])
    repaired = named(machines.play()[1])

    assert rehearsed == expected
    assert repaired == expected
    assert _rules(host) == rules
    check("applied")


def test_rules_that_nft_does_not_take_leave_those_that_hold(machines: Machines) -> None:
    host = onprem.host("applied")
    rules, file = _rules(host), outcomes.configured(host, "/etc/modelyard/firewall.nft")

    code, said = machines.play(
        *("--limit", "applied", "--extra-vars"),
        '{"base_firewall_open": [{"port": "8080", "from": "nodes", "why": "a \\"word\\""}]}',
    )

    assert code == 2
    assert "failed to validate" in said
    assert outcomes.configured(host, "/etc/modelyard/firewall.nft") == file
    assert _rules(host) == rules


@pytest.mark.parametrize("line", ["PasswordAuthentication yes", "MaxAuthTries 6"])
def test_a_file_that_sshd_reads_before_ours_is_noticed(machines: Machines, line: str) -> None:
    host = onprem.host("alternative")
    before = "/etc/ssh/sshd_config.d/00-before.conf"
    outcomes.said(host, f"sh -c 'echo {line} > {before}'")
    try:
        code, said = machines.play("--limit", "alternative")
    finally:
        outcomes.said(host, f"rm {before}")

    assert code == 2
    assert f"sshd does ['{line.lower()}']" in said


def test_somebody_who_is_there_is_not_removed(machines: Machines) -> None:
    host = onprem.host("alternative")
    started = host.run("systemd-run --uid=ben --unit=ben sleep 600")
    assert started.rc == 0, started.stderr
    try:
        gone = '{"base_users": [{"name": "ben", "state": "absent"}]}'
        code, said = machines.play("--limit", "alternative", "--extra-vars", gone)
    finally:
        outcomes.said(host, "systemctl stop ben.service")

    assert code == 2
    assert "base_users is 'ben'" in said.replace("''", "'")
    assert named(said) == set()
    assert host.user("ben").exists
