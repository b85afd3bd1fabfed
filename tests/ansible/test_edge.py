"""What the roles of edge hosts and of the mirror write and refuse, without a host."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible import command
from tests.ansible.command import ANSIBLE

DIGEST = f"sha256:{64 * 'a'}"
INPUTS: dict[str, Any] = {
    "edge_service_name": "digits",
    "edge_service_version": "1.0.0",
    "edge_service_digest": DIGEST,
    "edge_service_memory": "1Gi",
    "edge_runtime_endpoint": "https://192.0.2.5:5000",
    "registry_mirror_address": "192.0.2.5",
    "registry_trust_endpoint": "https://192.0.2.11:30443",
    "registry_trust_mirrors": ["https://192.0.2.5:5000"],
    "units": {"serve": {"writes": False}, "intake": {"writes": True}},
}
ROLES = ("edge_runtime", "edge_service", "registry_mirror", "registry_trust")
TEMPLATES = {
    "unit": "roles/edge_service/templates/modelyard-edge.service.j2",
    "wanted": "roles/edge_service/templates/wanted.env.j2",
    "account": "roles/edge_runtime/templates/registry.json.j2",
    "journal": "roles/edge_runtime/templates/journald.conf.j2",
    "registries": "roles/edge_runtime/templates/registries.conf.j2",
    "hosts": "roles/registry_trust/templates/hosts.toml.j2",
}
MIRROR = "roles/registry_mirror/templates/registry.yml.j2"
Rendered = dict[str, str]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Templates by name, in one task: each call of a module costs a second."""
    folder = tmp_path_factory.mktemp("edge")
    (folder / "password").write_text("hunter2")
    values = dict(INPUTS)
    for role in ROLES:
        defaults = yaml.safe_load((ANSIBLE / "roles" / role / "defaults/main.yml").read_text())
        values = (defaults or {}) | values
    own = {"edge_runtime_password_file": f"{folder}/password", "folder": f"{ANSIBLE}/"}
    (folder / "inputs.json").write_text(json.dumps(values | own | {"templates": TEMPLATES}))
    every = (
        "{% set all = {} %}{% for name, path in templates.items() %}"
        "{% set _ = all.update({name: lookup('ansible.builtin.template', folder ~ path)}) %}"
        "{% endfor %}{% for name, unit in units.items() %}{% set item = {'value': unit} %}"
        "{% set _ = all.update({name: lookup('ansible.builtin.template', folder ~ '" + MIRROR + "',"
        " template_vars={'item': item})}) %}{% endfor %}{{ all | to_json }}"
    )
    task = {"ansible.builtin.copy": {"content": every, "dest": f"{folder}/rendered.json"}}
    files = [str(ANSIBLE / "roles" / role / "vars/main.yml") for role in ROLES[:3]]
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": files, "tasks": [task]}
    (folder / "render.yml").write_text(yaml.safe_dump([play]))
    done = command.run(
        *("playbook", "--connection", "local", "--extra-vars", f"@{folder}/inputs.json"),
        *("--extra-vars", f"ansible_python_interpreter={sys.executable}", folder / "render.yml"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: Rendered = json.loads((folder / "rendered.json").read_text())
    return found


def test_a_service_has_no_rights_and_a_share_of_the_host(rendered: Rendered) -> None:
    unit = rendered["unit"]

    for flag in (
        "--user=1034:1034", "--cap-drop=all", "--security-opt=no-new-privileges", "--read-only",
        "--memory=1g", "--memory-swap=1g", "--cpus=1.0", "--pids-limit=256",
    ):  # fmt: skip
        assert f" {flag} " in unit.replace("\\\n", " ") + " "
    assert "--host=127.0.0.1 --port=3000" in unit


def test_nothing_is_pulled_when_a_service_starts(rendered: Rendered) -> None:
    assert "--pull=never" in rendered["unit"]
    assert "network-online" not in rendered["unit"]


def test_a_unit_never_gives_up_and_looks_at_its_health(rendered: Rendered) -> None:
    assert "StartLimitIntervalSec=0" in rendered["unit"]
    assert "Restart=always" in rendered["unit"]
    assert "--health-on-failure=kill" in rendered["unit"]
    assert "http://127.0.0.1:3000/livez" in rendered["unit"]


def test_an_image_is_named_by_its_digest(rendered: Rendered) -> None:
    assert f"MODELYARD_IMAGE=registry.modelyard.internal/digits@{DIGEST}\n" in rendered["wanted"]


def test_the_account_is_for_the_place_that_is_pulled_from(rendered: Rendered) -> None:
    assert json.loads(rendered["account"]) == {
        "auths": {"192.0.2.5:5000": {"auth": "cHVsbDpodW50ZXIy"}}
    }
    assert 'location = "192.0.2.5:5000"' in rendered["registries"]


def test_the_journal_of_an_edge_host_has_an_end(rendered: Rendered) -> None:
    assert (
        "SystemMaxUse=256M\nSystemMaxFileSize=32M\n"
        in "\n".join(line for line in rendered["journal"].splitlines() if not line.startswith("#"))
        + "\n"
    )


def test_who_pulls_from_a_mirror_cannot_write_and_who_writes_is_on_it(rendered: Rendered) -> None:
    serve, intake = yaml.safe_load(rendered["serve"]), yaml.safe_load(rendered["intake"])

    assert serve["storage"]["maintenance"]["readonly"] == {"enabled": True}
    assert serve["http"]["addr"] == "192.0.2.5:5000"
    assert serve["http"]["tls"]["certificate"]
    assert "htpasswd" in serve["auth"]
    assert intake["http"]["addr"] == "127.0.0.1:5001"
    assert "maintenance" not in intake["storage"]


def test_nodes_ask_a_mirror_after_the_registry(rendered: Rendered) -> None:
    lines = [line for line in rendered["hosts"].splitlines() if line.startswith("[host")]

    assert lines == ['[host."https://192.0.2.11:30443"]', '[host."https://192.0.2.5:5000"]']
    assert rendered["hosts"].count("ca.crt") == 2


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "sound": ("edge_service", {}, ""),
    "tag": ("edge_service", {"edge_service_digest": "1.0.0"}, "a tag may be another image"),
    "short": ("edge_service", {"edge_service_digest": "sha256:abc"}, "64 digits of hex"),
    "memory": ("edge_service", {"edge_service_memory": "384MB"}, "a whole number of Mi or Gi"),
    "port": ("edge_service", {"edge_service_port": 443}, "1024 to 65535"),
    "plain": (
        "edge_runtime",
        {"edge_runtime_endpoint": "http://192.0.2.5:5000"},
        "hosts pull over TLS only",
    ),
    "password": (
        "edge_runtime",
        {"edge_runtime_password_file": "/nowhere/password"},
        "the registry lets nobody in without a password",
    ),
    "one-port": ("registry_mirror", {"registry_mirror_intake_port": 5000}, "two ports"),
    "no-ca": ("registry_mirror", {"registry_mirror_ca": "/nowhere/ca.crt"}, "/nowhere/ca.crt"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What preflight says, each case on a host of its own, in one line a host."""
    folder = tmp_path_factory.mktemp("refuse")
    for name in ("ca.crt", "ca.key", "htpasswd", "password"):
        (folder / name).touch()
    given = INPUTS | {
        "edge_runtime_password_file": f"{folder}/password",
        "registry_mirror_ca": f"{folder}/ca.crt",
        "registry_mirror_credentials": str(folder),
        "modelyard_environment": {"name": "onprem"},
        "ansible_facts": {},
    }
    hosts: dict[str, Any] = {}
    plays, sound = [], dict(given)
    for role in ROLES[:3]:
        part = ANSIBLE / "roles" / role
        defaults = yaml.safe_load((part / "defaults/main.yml").read_text())
        cases = {name: more for name, (owner, more, _) in CASES.items() if owner == role}
        hosts |= {name: defaults | given | more for name, more in cases.items()}
        sound |= defaults
        pages = yaml.safe_load((part / "tasks/preflight.yml").read_text())
        plays.append(
            {
                # A play whose hosts have all failed is the last one.
                "hosts": ",".join({"sound": None, **cases}),
                "gather_facts": False,
                "any_errors_fatal": False,
                "vars_files": [str(part / "vars/main.yml")],
                # What asks the host, and what then looks at the answer, belongs to scenarios.
                "tasks": [
                    task for task in pages if "refuse" in task and "system" not in task["name"]
                ],
            }
        )
    hosts["sound"] = sound | given
    for values in hosts.values():
        del values["ansible_facts"]
    return command.refused(folder, plays, hosts)


@pytest.mark.parametrize("case", CASES)
def test_what_an_edge_host_or_a_mirror_could_not_do_is_refused_first(
    refusals: str, case: str
) -> None:
    said = " ".join(
        line for line in refusals.splitlines() if f"[{case}]" in line and '"refusal"' in line
    )

    expected = CASES[case][2]
    assert bool(said) is bool(expected)
    assert expected in said
    if said:
        assert f'"where": "{case}: ' in said
        assert '"remedy": ' in said


def test_an_edge_inventory_is_refused_while_its_model_is_not_released(tmp_path: Path) -> None:
    facts = tmp_path / "modelyard" / "onprem" / "hosts" / "facts.json"
    facts.parent.mkdir(parents=True)
    facts.write_text(json.dumps({"registry_ca": "/ca.crt", "binaries": {}}))

    done = command.run(
        *("playbook", "--inventory", ANSIBLE / "inventories" / "edge"),
        ANSIBLE / "playbooks" / "edge.yml",
        XDG_STATE_HOME=tmp_path,
        COLUMNS="1000",
    )

    said = " ".join(done.stdout.split())
    assert done.returncode == 2, said
    assert "release of digits is None: there is none in onprem" in said
    assert "yard ship digits --to onprem" in said
