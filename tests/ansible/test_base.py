"""What the role base writes, rendered without a host; what it does on one: tests/hosts."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible import command
from tests.ansible.command import ANSIBLE

ROLE = ANSIBLE / "roles" / "base"
DEFAULT: dict[str, Any] = {
    "base_firewall_control": ["192.0.2.11"],
    "base_firewall_nodes": ["192.0.2.0/24", "10.246.0.0/16"],
    "base_firewall_admins": ["198.51.100.0/24", "2001:db8::/64"],
    "base_firewall_open": [
        {"port": "10250", "from": "nodes", "why": "kubelet"},
        {"port": "2379-2380", "from": "control", "why": "etcd"},
    ],
    "ansible_facts": {"distribution": "Debian"},
}
USERS = [
    {"name": "ops", "keys": ["ssh-ed25519 AAAA ops"], "sudo": True},
    {"name": "watch", "keys": ["ssh-ed25519 AAAA watch"]},
    {"name": "left", "sudo": True, "state": "absent"},
]
ALTERNATIVE = DEFAULT | {
    "ansible_facts": {"distribution": "Ubuntu"},
    "ansible_port": 2222,
    "base_users": USERS,
    "base_time_servers": ["192.0.2.53"],
    "base_sysctls": {"kernel.kptr_restrict": 1},
    "base_upgrades_blocked": ["kube"],
    "base_firewall_open": [],
}
Rendered = dict[str, str]


def _render(folder: Path, inputs: dict[str, Any]) -> Rendered:
    """All templates of the role, by name."""
    templates = sorted(path.name for path in (ROLE / "templates").iterdir())
    # One task for all: each call of a module costs a second.
    every = (
        "{% set all = {} %}{% for name in names %}"
        "{% set _ = all.update({name: lookup('ansible.builtin.template', folder ~ name)}) %}"
        "{% endfor %}{{ all | to_json }}"
    )
    task = {
        "ansible.builtin.copy": {"content": every, "dest": f"{folder}/rendered.json"},
        "vars": {"names": templates, "folder": f"{ROLE}/templates/"},
    }
    files = [str(ROLE / part / "main.yml") for part in ("defaults", "vars")]
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": files, "tasks": [task]}
    (folder / "render.yml").write_text(yaml.safe_dump([play]))
    (folder / "inputs.json").write_text(json.dumps(inputs))
    done = command.run(
        *("playbook", "--connection", "local", "--extra-vars", f"@{folder}/inputs.json"),
        *("--extra-vars", f"ansible_python_interpreter={sys.executable}", folder / "render.yml"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rendered: Rendered = json.loads((folder / "rendered.json").read_text())
    return rendered


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return _render(tmp_path_factory.mktemp("default"), dict(DEFAULT))


@pytest.fixture(scope="module")
def alternative(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return _render(tmp_path_factory.mktemp("alternative"), dict(ALTERNATIVE))


def test_the_firewall_drops_what_it_does_not_name(default: Rendered) -> None:
    rules = default["firewall.nft.j2"]

    assert "policy drop;" in rules
    assert 'ip saddr { 198.51.100.0/24 } tcp dport 22 accept comment "SSH"' in rules
    assert 'ip6 saddr { 2001:db8::/64 } tcp dport 22 accept comment "SSH"' in rules
    assert "ip saddr { 192.0.2.0/24, 10.246.0.0/16 } tcp dport 10250 accept" in rules
    assert "ip saddr { 192.0.2.11 } tcp dport 2379-2380 accept" in rules
    assert rules.count("tcp dport") == 4
    assert "flush ruleset" not in rules


def test_ssh_is_opened_where_ansible_enters(alternative: Rendered) -> None:
    rules = [line for line in alternative["firewall.nft.j2"].splitlines() if "tcp dport" in line]

    assert [line.split("tcp dport ")[1].split()[0] for line in rules] == ["2222", "2222"]


def test_nobody_enters_with_a_password_or_as_root(default: Rendered) -> None:
    lines = default["sshd.conf.j2"].splitlines()

    assert "PermitRootLogin no" in lines
    assert "PasswordAuthentication no" in lines
    assert "KbdInteractiveAuthentication no" in lines


def test_sudo_is_for_those_who_are_named_and_still_there(
    default: Rendered, alternative: Rendered
) -> None:
    assert "NOPASSWD" not in default["sudoers.j2"]
    rights = [line for line in alternative["sudoers.j2"].splitlines() if not line.startswith("#")]
    assert rights == ["ops ALL=(ALL) NOPASSWD: ALL"]


def test_the_kernel_has_what_the_kubelet_insists_on(default: Rendered) -> None:
    # The kubelet does not start with other values, and sets none itself (protectKernelDefaults).
    lines = default["sysctl.conf.j2"].splitlines()

    for wanted in (
        "vm.overcommit_memory = 1",
        "vm.panic_on_oom = 0",
        "kernel.panic = 10",
        "kernel.panic_on_oops = 1",
        "kernel.keys.root_maxkeys = 1000000",
        "kernel.keys.root_maxbytes = 25000000",
    ):
        assert wanted in lines
    assert "ip_forward" not in default["sysctl.conf.j2"]


def test_a_team_says_which_settings_there_are(alternative: Rendered) -> None:
    lines = alternative["sysctl.conf.j2"].splitlines()

    assert [line for line in lines if not line.startswith("#")] == ["kernel.kptr_restrict = 1"]


def test_only_security_updates_come_by_themselves_and_never_those_of_the_cluster(
    default: Rendered, alternative: Rendered
) -> None:
    said = default["52modelyard.j2"]
    assert "label=Debian-Security" in said
    for name in ("containerd", "kube", "nvidia", "linux-image"):
        assert f'"{name}";' in said
    assert 'Automatic-Reboot "false"' in said
    assert "origin=Ubuntu,archive=${distro_codename}-security" in alternative["52modelyard.j2"]
    assert "Debian" not in alternative["52modelyard.j2"]


def test_the_audit_watches_the_cluster_and_cannot_be_switched_off(default: Rendered) -> None:
    rules = default["audit.rules.j2"].splitlines()

    assert "-w /etc/kubernetes -p wa -k kubernetes" in rules
    assert rules[-1] == "-e 2"


def test_a_closed_network_asks_its_own_time_servers_only(
    default: Rendered, alternative: Rendered
) -> None:
    assert "NTP" not in default["timesyncd.conf.j2"]
    assert "NTP=192.0.2.53" in alternative["timesyncd.conf.j2"]
    assert "FallbackNTP=\n" in alternative["timesyncd.conf.j2"]


PREFLIGHT: list[dict[str, Any]] = yaml.safe_load((ROLE / "tasks" / "preflight.yml").read_text())
SOUND = {
    **{"distribution": "Debian", "distribution_version": "12", "env": {}, "packages": {}},
    "virtualization_role": "host",
}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "sound": ({}, {}, ""),
    "ubuntu": ({"distribution": "Ubuntu", "distribution_version": "24.04"}, {}, ""),
    "other": ({"distribution": "Rocky", "distribution_version": "9"}, {}, "is 'Rocky 9'"),
    "old": ({"distribution_version": "11"}, {}, "is 'Debian 11'"),
    "foreign-setting": (
        {},
        {"base_sysctls": {"net.ipv4.ip_forward": 1}},
        "the role kubernetes owns it",
    ),
    "inside": ({"env": {"SSH_CONNECTION": "198.51.100.7 50000 192.0.2.1 22"}}, {}, ""),
    "outside": (
        {"env": {"SSH_CONNECTION": "203.0.113.7 50000 192.0.2.1 22"}},
        {},
        "this run comes from 203.0.113.7",
    ),
    "own-user": (
        {},
        {"base_users": [{"name": "ops", "state": "absent"}]},
        "whom the list removes",
    ),
    "no-port": (
        {},
        {"base_firewall_open": [{"port": "http", "from": "nodes", "why": "a name"}]},
        "base_firewall_open is 'http'",
    ),
    "own-time": (
        {"packages": {"chrony": []}},
        {},
        "the host has chrony, which Debian removes",
    ),
    "own-time-kept": (
        {"packages": {"chrony": []}},
        {"base_packages": ["nftables"]},
        "",
    ),
    "there": (
        {},
        {"__base_there": {"results": [{"rc": 0, "stdout_lines": ["7"], "item": {"name": "eve"}}]}},
        "processes of whom the list removes run (PID 7)",
    ),
}


ASKED = {"ansible_user": "ops", "__base_there": {"results": [{"rc": 1, "item": {"name": "ada"}}]}}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What preflight says, each case on a host of its own, in one line a host."""
    folder = tmp_path_factory.mktemp("refuse")
    tasks = [task for task in PREFLIGHT if "refuse" in task]
    assert len(tasks) == len(PREFLIGHT) - 3  # all but those that ask the host
    files = [str(ROLE / part / "main.yml") for part in ("defaults", "vars")]
    play = {"hosts": "all", "gather_facts": False, "any_errors_fatal": False, "tasks": tasks}
    defaults: dict[str, Any] = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    hosts = {
        name: defaults | DEFAULT | ASKED | inputs | {"facts": SOUND | facts}
        for name, (facts, inputs, _) in CASES.items()
    }
    shared = {"ansible_facts": "{{ facts }}"}
    for values in hosts.values():
        del values["ansible_facts"]
    return command.refused(folder, [play | {"vars_files": files[1:], "vars": shared}], hosts)


@pytest.mark.parametrize("case", CASES)
def test_what_the_role_could_not_do_safely_is_refused_first(refusals: str, case: str) -> None:
    said = next((line for line in refusals.splitlines() if f"fatal: [{case}]" in line), "")

    expected = CASES[case][2]
    assert bool(said) is bool(expected)
    assert expected in said
    if said:
        assert f'"where": "{case}: ' in said
        assert '"rule": ' in said
        assert '"remedy": ' in said
