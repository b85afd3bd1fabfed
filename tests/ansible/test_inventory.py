"""What is wrong with an inventory is said before any host is touched, without any host."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ci.pipeline import playbook
from ci.report import silent
from infra import environment
from infra.hosts import inventory
from infra.refusal import Refusal
from tests.ansible import command
from tests.ansible.command import ANSIBLE

PLAYBOOKS = ANSIBLE / "playbooks"
FACTS = {
    "tools": "/tools",
    "versions": {"containerd": "2.0.0", "etcd": "3.6.0", "kubernetes": "1.36.0"},
    "binaries": {
        "containerd": {"ctr": "/tools/ctr"},
        "etcd": {"etcdctl": "/tools/etcdctl", "etcdutl": "/tools/etcdutl"},
        "kubernetes": {"kubectl": "/tools/kubectl", "kubelet": "/tools/kubelet"},
        "distribution": {"registry": "/tools/registry"},
    },
    "images": [
        {"name": name, "reference": f"{name}:1", "kinds": ["control", "cpu", "gpu"]}
        for name in ("pause", "etcd", "coredns")
    ],
    "node_base": {"tar": "/tools/base.tar", "key": "0"},
    "registry_ca": "/state/ca.crt",
    "resolvers": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the inventory `onprem`, and a state folder as `yard up` leaves one."""
    facts = tmp_path / "state" / "modelyard" / "onprem" / "hosts" / "facts.json"
    facts.parent.mkdir(parents=True)
    facts.write_text(json.dumps(FACTS))
    target = tmp_path / "inventories" / "onprem"
    shutil.copytree(ANSIBLE / "inventories" / "onprem", target)
    return target


def _check(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the playbook that begins every other one, as a person would."""
    return command.run(
        *("playbook", "--inventory", folder, *arguments, PLAYBOOKS / "inventory.yml"),
        XDG_STATE_HOME=folder.parent.parent / "state",
        COLUMNS="1000",
    )


@pytest.mark.parametrize(
    "name", ["local", "test", "quorum", "rolling", "drill", "fenced", "onprem", "edge"]
)
def test_every_inventory_of_the_repository_is_sound(name: str, tmp_path: Path) -> None:
    done = _check(ANSIBLE / "inventories" / name)

    assert done.returncode == 0, done.stdout


def test_the_example_of_a_teams_own_machines_is_sound_for_every_role(folder: Path) -> None:
    done = _check(folder)

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok=1") == 8


def _add(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text((file.read_text() if file.is_file() else "") + text)


@pytest.mark.parametrize(
    ("file", "text", "expected", "host"),
    [
        (
            "group_vars/gpu.yml",
            "kubernetes_resolver: [192.0.2.1]\n",
            [
                "gpu.yml: kubernetes_resolver is",
                "192.0.2.1",
                "no role and no playbook",
                "kubernetes_resolvers",
            ],
            "gpu-1",
        ),
        (
            "host_vars/cpu-1.yml",
            "ansible_usr: ops\n",
            ["host_vars/cpu-1.yml: ansible_usr is", "no role and no playbook", "ansible_user"],
            "cpu-1",
        ),
        (
            "group_vars/workers.yml",
            "node_labels_patience: soon\n",
            ["workers.yml: node_labels_patience is 'soon'", "int", "argument_specs.yml"],
            "cpu-1",
        ),
        (
            "host_vars/gpu-1.yml",
            "node_kind: tpu\n",
            ["gpu-1: ", "host_vars/gpu-1.yml: node_kind is 'tpu'", "control, cpu, gpu"],
            "gpu-1",
        ),
        (
            "group_vars/gpus.yml",
            "node_labels_patience: 7\n",
            ["gpus.yml is 'gpus'", "no group of this name", "perhaps gpu is meant"],
            "cpu-1",
        ),
        (
            "host_vars/cpu-9.yml",
            "node_pool: cpu\n",
            ["cpu-9.yml is 'cpu-9'", "no host of this name"],
            "cpu-1",
        ),
        (
            "group_vars/all.yml",
            "containerd_mounted: true\n",
            ["all.yml: containerd_mounted is", "wins over", "Move containerd_mounted"],
            "cpu-1",
        ),
        (
            "host_vars/control-1.yml",
            "ansible_user: \"{{ 'op' ~ 's' }}\"\n",
            ["control-1.yml: ansible_user is", "Mitogen takes it as it stands", "itself"],
            "control-1",
        ),
    ],
    ids=["unknown", "of Ansible", "type", "choice", "group", "host", "no effect", "template"],
)  # fmt: skip
def test_a_fault_is_refused_with_host_or_file_key_value_rule_and_remedy(
    folder: Path, file: str, text: str, expected: list[str], host: str
) -> None:
    _add(folder / file, text)

    done = _check(folder, "--limit", host)

    assert done.returncode == 2, done.stdout
    # Ansible folds long lines.
    said = " ".join((done.stdout + done.stderr).split()).replace("''", "'")
    assert [part for part in expected if part not in said] == [], said


def test_a_variable_of_the_command_line_is_checked_too(folder: Path) -> None:
    done = _check(folder, "--limit", "cpu-1", "--extra-vars", "reset_environmnt=onprem")

    assert done.returncode == 2
    assert "reset_environmnt" in done.stdout


def test_a_node_without_an_address_is_refused(folder: Path) -> None:
    hosts = folder / "hosts.yml"
    document = yaml.safe_load(hosts.read_text())
    del document["all"]["children"]["cpu"]["hosts"]["cpu-2"]["node_address"]
    hosts.write_text(yaml.safe_dump(document))

    done = _check(folder, "--limit", "cpu-2")

    assert done.returncode == 2
    assert "cpu-2" in done.stdout
    assert "address" in done.stdout


def test_machines_on_the_plain_bridge_are_refused(folder: Path) -> None:
    # `drill` has the bridge, and its inventory has containers only.
    inventory = folder.parent / "drill"
    folder.rename(inventory)

    done = _check(inventory, "--limit", "cpu-1", "--extra-vars", "{node_kind: cpu, node_pool: cpu}")

    assert done.returncode == 2, done.stdout
    said = " ".join((done.stdout + done.stderr).split())
    for part in ("cpu-1: network.engine", "bridge", "several subnets", "Pulumi.drill.yaml"):
        assert part in said


def test_a_mistyped_password_is_refused_without_being_shown(folder: Path) -> None:
    _add(folder / "host_vars" / "cpu-1.yml", "ansible_become_pasword: hunter2\n")

    done = _check(folder, "--limit", "cpu-1")

    assert "ansible_become_pasword" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_yard_turns_a_refusal_of_a_playbook_into_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    with pytest.raises(Refusal, match="whose cluster would be destroyed") as refused:
        playbook.run(environment.load("onprem"), "reset", silent)

    assert refused.value.where == "control-1: reset_environment"
    assert refused.value.value == "not set"


def test_roles_of_a_host_are_those_of_every_play_for_its_groups() -> None:
    assert "node_container" in inventory.roles(PLAYBOOKS, {"containers"})
    assert "worker" not in inventory.roles(PLAYBOOKS, {"control_plane", "kubernetes"})


def test_every_playbook_begins_with_the_check() -> None:
    def first(path: Path) -> str:
        play = yaml.safe_load(path.read_text())[0]
        imported = play.get("ansible.builtin.import_playbook")
        return first(PLAYBOOKS / imported) if imported else path.name

    begins = {path.name: first(path) for path in PLAYBOOKS.glob("*.yml")}

    assert set(begins.values()) == {"inventory.yml"}, begins


def test_only_a_node_needs_the_folders_of_storage_classes(folder: Path) -> None:
    done = command.run(
        *("adhoc", "mirror-1:gpu-1", "--inventory", folder, "--playbook-dir", PLAYBOOKS),
        *("--module-name", "debug", "--args", "var=kubernetes_volume_folders"),
        XDG_STATE_HOME=folder.parent.parent / "state",
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert '"kubernetes_volume_folders": [ "/srv/nvme/volumes" ]' in told
    assert '"kubernetes_volume_folders": []' in told
