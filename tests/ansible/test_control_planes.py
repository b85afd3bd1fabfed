"""What several control planes are given and refused, without any host; on hosts: tests/hosts."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible import command
from tests.ansible.command import ANSIBLE

ROLES = ANSIBLE / "roles"
WANTED = (
    "api_balancer_servers",
    "control_plane_endpoint",
    "control_plane_kubeconfig_server",
    "control_plane_leader",
    "control_planes_balanced",
    "kubernetes_volume_folders",
    "node_container_ports",
    "registry_trust_endpoint",
    "worker_endpoint",
)
Rendered = dict[str, Any]
INPUTS: Rendered = {
    "inventory_hostname": "control-2",
    "control_plane_cluster": "onprem",
    "control_plane_version": "1.36.3",
    "control_plane_dns_tag": "v1.14.2",
    "control_plane_etcd_tag": "3.6.8-0",
    "control_plane_address_advertised": "192.0.2.12",
    "control_plane_endpoint": "127.0.0.1:7443",
    "control_plane_leader": "control-1",
    "__control_plane_leaders_address": "192.0.2.11",
    "control_plane_pod_cidr": "10.246.0.0/16",
    "control_plane_service_cidr": "10.98.0.0/16",
    "control_plane_kubeconfig_from": "control-1",
    "api_balancer_servers": [
        {"name": "control-1", "address": "192.0.2.11"},
        {"name": "control-2", "address": "192.0.2.12"},
    ],
    "__control_plane_secret": {"stdout": "key-of-secrets-at-rest"},
    "__control_plane_key": {"stdout": "key-of-one-join"},
    "__control_plane_token": {"stdout": "token-of-one-join"},
    "__control_plane_authorities": {"results": [{"content": "Q0E="}, {}]},
    "__control_plane_marked": {},
}


def _play(folder: Path, play: dict[str, Any], *arguments: object) -> Rendered:
    """What a play's last task writes into rendered.json."""
    (folder / "play.yml").write_text(yaml.safe_dump([{"gather_facts": False, **play}]))
    done = command.run(
        *("playbook", "--connection", "local", *arguments),
        *("--extra-vars", f"ansible_python_interpreter={sys.executable}", folder / "play.yml"),
        XDG_STATE_HOME=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rendered: Rendered = json.loads((folder / "rendered.json").read_text())
    return rendered


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Templates of the roles that make several control planes, by name, and the mark."""
    folder = tmp_path_factory.mktemp("templates")
    roles = ("api_balancer", "control_plane")
    paths = [str(path) for role in roles for path in sorted((ROLES / role / "templates").iterdir())]
    every = (
        "{% set all = {'mark': __control_plane_fixed} %}{% for path in paths %}"
        "{% set _ = all.update({path | basename: lookup('ansible.builtin.template', path)}) %}"
        "{% endfor %}{{ all | to_json }}"
    )
    task = {
        "ansible.builtin.copy": {"content": every, "dest": f"{folder}/rendered.json"},
        "vars": {"paths": paths},
    }
    files = [str(ROLES / role / "defaults" / "main.yml") for role in roles]
    files.append(str(ROLES / "control_plane" / "vars" / "main.yml"))
    (folder / "inputs.json").write_text(json.dumps(INPUTS))
    play = {"hosts": "localhost", "vars_files": files, "tasks": [task]}
    return _play(folder, play, "--extra-vars", f"@{folder}/inputs.json")


def test_the_balancer_listens_on_the_host_alone_and_names_every_api_server(
    templates: Rendered,
) -> None:
    lines = [line.strip() for line in templates["api-balancer.cfg.j2"].splitlines()]

    assert [line for line in lines if line.startswith("bind")] == ["bind 127.0.0.1:7443"]
    assert [line for line in lines if line.startswith("server ")] == [
        "server control-1 192.0.2.11:6443",
        "server control-2 192.0.2.12:6443",
    ]
    assert "option httpchk GET /readyz" in lines


def test_the_balancer_has_no_rights(templates: Rendered) -> None:
    lines = templates["modelyard-api-balancer.service.j2"].splitlines()

    assert {"DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet="} <= set(lines)


def test_each_secret_stands_in_the_files_that_need_it_and_in_no_other(templates: Rendered) -> None:
    holding = {
        secret: sorted(name for name, text in templates.items() if secret in text)
        for secret in ("key-of-one-join", "token-of-one-join", "key-of-secrets-at-rest")
    }

    assert holding == {
        "key-of-one-join": ["join.yaml.j2", "upload.yaml.j2"],
        "token-of-one-join": ["join.yaml.j2"],
        "key-of-secrets-at-rest": ["encryption.yaml.j2"],
    }


def test_those_files_are_roots_alone_and_removed_whatever_happens() -> None:
    block = yaml.safe_load((ROLES / "control_plane" / "tasks" / "join.yml").read_text())[0]
    tasks = [inner for task in block["block"] for inner in task.get("block", [task])]
    written = {
        task["ansible.builtin.template"]["dest"]: task["ansible.builtin.template"]["mode"]
        for task in tasks
        if "ansible.builtin.template" in task
    }
    removed = {
        task["ansible.builtin.file"]["path"].replace("{{ item }}", name)
        for task in block["always"]
        if "ansible.builtin.file" in task
        for name in task.get("loop", [""])
    }

    assert set(written.values()) == {"0600"}
    assert removed == set(written)
    commands = [task.get("ansible.builtin.command", task.get("change")) for task in tasks]
    arguments = json.dumps(commands)
    assert "kubeadm" in arguments
    assert "__control_plane_key" not in arguments
    assert "__control_plane_token" not in arguments


def test_a_further_control_plane_joins_with_its_own_address(templates: Rendered) -> None:
    join = yaml.safe_load(templates["join.yaml.j2"])
    discovery = yaml.safe_load(templates["discovery.yaml.j2"])

    assert join["controlPlane"]["localAPIEndpoint"] == {"advertiseAddress": "192.0.2.12"}
    assert discovery["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"
    cluster = list(yaml.safe_load_all(templates["kubeadm.yaml.j2"]))[1]
    assert cluster["controlPlaneEndpoint"] == "127.0.0.1:7443"
    assert "127.0.0.1" in cluster["apiServer"]["certSANs"]


def test_what_a_cluster_cannot_change_is_written_down_with_its_endpoint(
    templates: Rendered,
) -> None:
    assert templates["mark"].splitlines() == [
        "version 1.36.3",
        "address 192.0.2.12",
        "pods 10.246.0.0/16",
        "services 10.98.0.0/16",
        "endpoint 127.0.0.1:7443",
    ]


def _told(folder: Path, inventory: str) -> dict[str, Rendered]:
    """What the playbooks make of an inventory, by host."""
    task = {
        "ansible.builtin.copy": {
            "content": (
                "{% set all = {} %}{% for host in groups['kubernetes'] %}"
                "{% set _ = all.update({host: hostvars[host].told}) %}"
                "{% endfor %}{{ all | to_json }}"
            ),
            "dest": f"{folder}/rendered.json",
        },
        "run_once": True,
    }
    told = {name: f"{{{{ {name} }}}}" for name in WANTED}
    # Beside the play, as Ansible wants them.
    shutil.copytree(ANSIBLE / "playbooks" / "group_vars", folder / "group_vars")
    play = {
        "hosts": "kubernetes",
        "tasks": [{"ansible.builtin.set_fact": {"told": told}}, task],
        "vars": {"ansible_connection": "local"},
    }
    return _play(folder, play, "--inventory", ANSIBLE / "inventories" / inventory)


def test_with_one_control_plane_nodes_ask_it_and_nothing_is_balanced(tmp_path: Path) -> None:
    told = _told(tmp_path, "test")

    for node in ("control-1", "cpu-1", "gpu-1"):
        assert told[node]["control_planes_balanced"] is False
        assert told[node]["worker_endpoint"] == "https://172.31.0.11:6443"
        assert told[node]["control_plane_endpoint"] == "172.31.0.11:6443"
        assert told[node]["registry_trust_endpoint"] == "https://172.31.0.11:30500"
    assert len(told["control-1"]["node_container_ports"]) == 3


def test_with_several_every_node_asks_its_own_balancer_and_one_publishes(tmp_path: Path) -> None:
    told = _told(tmp_path, "quorum")

    for node in ("control-1", "control-2", "control-3", "cpu-1", "cpu-2"):
        assert told[node]["control_planes_balanced"] is True
        assert told[node]["worker_endpoint"] == "https://127.0.0.1:7443"
        assert told[node]["registry_trust_endpoint"] == "https://127.0.0.1:30500"
        assert [one["address"] for one in told[node]["api_balancer_servers"]] == [
            "172.29.0.11",
            "172.29.0.13",
            "172.29.0.15",
        ]
    publishing = [node for node, one in told.items() if one["node_container_ports"]]
    assert publishing == ["control-1"]


def test_a_node_has_the_folders_of_its_pools_storage_classes(tmp_path: Path) -> None:
    told = _told(tmp_path, "test")

    folders = {node: one["kubernetes_volume_folders"] for node, one in told.items()}
    # The platform's own is made where it is not there.
    assert folders == {"control-1": [], "cpu-1": [], "gpu-1": ["/var/lib/modelyard/scratch"]}


def test_an_even_number_of_control_planes_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inventories" / "onprem"
    shutil.copytree(ANSIBLE / "inventories" / "onprem", folder)
    document = yaml.safe_load((folder / "hosts.yml").read_text())
    del document["all"]["children"]["control_plane"]["hosts"]["control-3"]
    (folder / "hosts.yml").write_text(yaml.safe_dump(document))

    done = command.run(
        *("playbook", "--inventory", folder, "--tags", "none", ANSIBLE / "playbooks" / "hosts.yml"),
        XDG_STATE_HOME=tmp_path,
    )

    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert "groups.control_plane" in said
    assert "control-1, control-2" in said
    assert "survives no more losses" in said
    assert "changed=1" not in said


def test_the_api_server_encrypts_secrets_and_audits(templates: Rendered) -> None:
    documents = list(yaml.safe_load_all(templates["kubeadm.yaml.j2"]))
    server = next(one for one in documents if one["kind"] == "ClusterConfiguration")["apiServer"]

    given = {one["name"]: one["value"] for one in server["extraArgs"]}
    mounted = {one["hostPath"] for one in server["extraVolumes"]}
    assert given["encryption-provider-config"] in mounted
    assert given["audit-policy-file"] in mounted
    assert given["audit-log-maxage"] == "30"
    sealed = yaml.safe_load(templates["encryption.yaml.j2"])["resources"]
    assert [next(iter(one)) for one in sealed[0]["providers"]] == ["secretbox", "identity"]


def test_nothing_that_holds_secrets_is_written_down_with_its_content() -> None:
    policy = yaml.safe_load((ROLES / "control_plane" / "files" / "audit.yaml").read_text())

    levels = [
        rule["level"]
        for rule in policy["rules"]
        if any("secrets" in of.get("resources", []) for of in rule.get("resources", []))
    ]
    assert levels == ["Metadata"]
    assert policy["rules"][0]["level"] == "Metadata"
