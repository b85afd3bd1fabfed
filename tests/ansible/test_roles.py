"""The shape of roles, inventories and plugins, without any host."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from infra import environment
from tests.ansible import command
from tests.ansible.command import ANSIBLE

ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir())
OF_CONTAINERS = ("drill", "fenced", "local", "quorum", "rolling", "test")


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _plugin(path: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location("plugin", ANSIBLE / "plugins" / path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_defaults_are_what_its_specification_says(role: str) -> None:
    defaults = _yaml(ANSIBLE / "roles" / role / "defaults" / "main.yml") or {}
    options = _yaml(ANSIBLE / "roles" / role / "meta" / "argument_specs.yml")
    specified = options["argument_specs"]["main"]["options"]
    optional = {name: one["default"] for name, one in specified.items() if not one.get("required")}

    assert defaults == optional


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_first_page_is_a_table_of_contents_that_ends_with_a_proof(role: str) -> None:
    tasks = _yaml(ANSIBLE / "roles" / role / "tasks" / "main.yml")
    pages = [task["ansible.builtin.import_tasks"] for task in tasks]

    assert pages[-1] == "verify.yml"
    for page in pages:
        assert (ANSIBLE / "roles" / role / "tasks" / page).is_file()


@pytest.mark.parametrize("role", ROLES)
def test_every_input_that_a_role_requires_is_given_by_the_playbooks(role: str) -> None:
    given = _yaml(ANSIBLE / "playbooks" / "group_vars" / "all.yml")
    options = _yaml(ANSIBLE / "roles" / role / "meta" / "argument_specs.yml")
    specified = options["argument_specs"]["main"]["options"]

    assert {name for name, one in specified.items() if one.get("required")} <= set(given)


@pytest.mark.parametrize("inventory", OF_CONTAINERS)
def test_an_inventory_of_containers_lists_exactly_the_nodes_of_its_environment(
    inventory: str,
) -> None:
    groups = _yaml(ANSIBLE / "inventories" / inventory / "hosts.yml")["all"]["children"]
    env = environment.load(inventory)

    nodes = {node.name for node in env.nodes()}
    assert {*groups["control_plane"]["hosts"], *groups["workers"]["hosts"]} == nodes
    containers = groups["containers"]
    assert set(containers.get("hosts", nodes)) == nodes
    assert set(containers.get("children", ["kubernetes"])) == {"kubernetes"}


def _variables(inventory: str, tmp_path: Path, **more: Any) -> dict[str, Any]:
    more = {"XDG_STATE_HOME": tmp_path, **more}
    done = command.run(
        *("inventory", "--list", "--playbook-dir", ANSIBLE / "playbooks"),
        *("--inventory", ANSIBLE / "inventories" / inventory),
        **more,
    )
    assert done.returncode == 0, done.stderr
    # Ansible marks text that it must not take for a template.
    document = json.loads(done.stdout, object_hook=lambda one: one.get("__ansible_unsafe", one))
    hosts: dict[str, Any] = document["_meta"]["hostvars"]
    return hosts


def test_hosts_get_their_environment_and_a_subnet_each(tmp_path: Path) -> None:
    hosts = _variables("test", tmp_path)

    assert {one["modelyard_environment"]["name"] for one in hosts.values()} == {"test"}
    assert hosts["gpu-1"]["modelyard_node"] == {
        "address": "172.31.0.13",
        "container": "modelyard-test-gpu-1",
        "pod_subnet": "10.245.2.0/24",
        "pool": "gpu",
        "kind": "gpu",
    }


def test_an_environment_that_has_another_inventory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="MODELYARD_ENVIRONMENT"):
        _variables("test", tmp_path, MODELYARD_ENVIRONMENT="local")


DIGEST = "sha256:" + 64 * "a"
IMAGE = {"reference": "modelyard.internal/x:1", "digest": DIGEST}
HEADER = "REF TYPE DIGEST SIZE PLATFORMS LABELS"
PIN = "io.cri-containerd.pinned=pinned"


@pytest.mark.parametrize(
    ("rows", "there"),
    [
        ([f"modelyard.internal/x:1 t {DIGEST} {PIN}"], False),
        ([f"modelyard.internal/x@{DIGEST} t {DIGEST} {PIN}"], False),
        (
            [
                f"modelyard.internal/x:1 t {DIGEST} {PIN}",
                f"modelyard.internal/x@{DIGEST} t {DIGEST} {PIN}",
            ],
            True,
        ),
        (
            [
                f"modelyard.internal/x:1 t {DIGEST} -",
                f"modelyard.internal/x@{DIGEST} t {DIGEST} {PIN}",
            ],
            False,
        ),
        (
            [
                f"modelyard.internal/x:1 t sha256:{64 * 'b'} {PIN}",
                f"modelyard.internal/x@{DIGEST} t {DIGEST} {PIN}",
            ],
            False,
        ),
    ],
    ids=["tag only", "digest only", "both", "not pinned", "tag of another image"],
)
def test_an_image_is_there_when_tag_and_digest_name_it_and_it_is_pinned(
    rows: list[str], there: bool
) -> None:
    module = _plugin("modules/containerd_images.py")

    assert module.present(IMAGE, "\n".join([HEADER, *rows])) is there


def _playbook(tmp_path: Path, descriptor: int) -> "subprocess.Popen[bytes]":
    """A playbook of three tasks on this machine, with our progress plugin."""
    path = tmp_path / "sleep.yml"
    tasks = [
        {
            "name": f"Sleep {number}",
            "ansible.builtin.command": "sleep 0.1",
            "changed_when": number == 2,
        }
        for number in (1, 2, 3)
    ]
    path.write_text(yaml.safe_dump([{"hosts": "localhost", "name": "Sleep", "tasks": tasks}]))
    here = f"ansible_python_interpreter={sys.executable}"
    return subprocess.Popen(
        command.line("playbook", "--connection", "local", "--extra-vars", here, path),
        env=command.variables(
            ANSIBLE_CALLBACKS_ENABLED="progress", MODELYARD_PROGRESS_FD=descriptor
        ),
        pass_fds=[descriptor],
        stdout=subprocess.DEVNULL,
    )


def test_a_playbook_tells_its_progress_from_its_own_number_of_tasks(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with _playbook(tmp_path, writer) as process:
        os.close(writer)
        with os.fdopen(reader) as lines:
            said = [json.loads(line) for line in lines]

    assert process.returncode == 0
    assert said == [
        {"task": "Sleep 1", "done": 1, "total": 3},
        {"task": "Sleep 2", "done": 2, "total": 3},
        {"changed": "localhost", "task": "Sleep 2"},
        {"task": "Sleep 3", "done": 3, "total": 3},
    ]


def test_a_playbook_whose_listener_was_killed_stops_at_its_next_word(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with _playbook(tmp_path, writer) as process:
        os.close(writer)

    assert process.returncode == -signal.SIGTERM


def test_the_names_in_a_kubelets_request_are_all_read() -> None:
    module = _plugin("modules/kubelet_certificate.py")
    text = """
        Requested Extensions:
            X509v3 Subject Alternative Name: critical
                DNS:gpu-1, IP Address:172.31.0.13, DNS:other
    Signature Algorithm: ecdsa-with-SHA256
    """

    assert module.names(text) == {"gpu-1", "172.31.0.13", "other"}


def test_a_request_without_names_has_none() -> None:
    assert _plugin("modules/kubelet_certificate.py").names("Certificate Request:\n") == set()


RUNS = """ActiveState=active
InactiveExitTimestamp=Sun 2026-11-22 10:00:00.500000 UTC
StateChangeTimestamp=Sun 2026-11-22 12:00:00.000000 UTC
ReloadResult={}
"""
STARTED = 1795341600.5
RELOADED = 1795348800.0


@pytest.mark.parametrize(
    ("shown", "reloads", "moment"),
    [
        (RUNS.format("success"), False, STARTED),
        (RUNS.format("success"), True, RELOADED),
        (RUNS.format("exit-code"), True, STARTED),
        ("ActiveState=inactive\nInactiveExitTimestamp=\n", False, None),
    ],
    ids=["started", "reloaded", "a reload that failed", "stopped"],
)
def test_a_unit_has_read_its_files_when_it_began_or_was_reloaded(
    shown: str, reloads: bool, moment: float | None
) -> None:
    assert _plugin("modules/unit_age.py").since(shown, reloads) == moment


def test_a_file_is_unread_when_it_was_put_there_later_whatever_its_age(tmp_path: Path) -> None:
    module = _plugin("modules/unit_age.py")
    unpacked, link = tmp_path / "unpacked", tmp_path / "link"
    unpacked.write_text("as of long ago")
    os.utime(unpacked, (0, 0))
    written = unpacked.stat().st_ctime
    link.symlink_to("/usr")

    files = [str(unpacked), str(link), str(tmp_path / "absent")]
    assert module.newer(files, written - 60) == files[:2]
    assert module.newer(files, written + 60) == []
