"""validate.yml over this machine itself, which is no node of a cluster; nothing is changed."""

import json
import os
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from ci.pipeline import playbook
from ci.yard.main import app
from infra import contract, places
from tests.ansible import command
from tests.ansible.command import ANSIBLE
from tests.ansible.test_roles import _plugin


def _node(kind: str, number: int, **more: object) -> dict[str, object]:
    subnet = f"10.246.{number}.0/24"
    facts = {"node_kind": kind, "node_pool": kind, "node_pod_subnet": subnet}
    return {"node_address": f"192.0.2.{number}", **facts, **more}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """Two names of this machine, and a host that nobody reaches."""
    folder = tmp_path_factory.mktemp("validate") / "inventories" / "onprem"
    folder.mkdir(parents=True)
    far = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    groups = {
        "kubernetes": {"children": {"control_plane": None, "workers": None}},
        "control_plane": {"hosts": {"control-1": _node("control", 1)}},
        "workers": {"hosts": {"cpu-1": _node("cpu", 2), "far-1": _node("cpu", 3, **far)}},
    }
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups, "vars": here}}))
    reader, writer = os.pipe()
    # This machine need not let a test become root: the test only looks.
    done = command.run(
        *("playbook", "--inventory", folder, "--extra-vars", "ansible_become=false"),
        ANSIBLE / "playbooks/validate.yml",
        descriptors=[writer],
        ANSIBLE_CALLBACKS_ENABLED="progress",
        MODELYARD_PROGRESS_FD=writer,
        XDG_STATE_HOME=folder / "state",
    )
    os.close(writer)
    with os.fdopen(reader) as lines:
        said = [json.loads(line) for line in lines]
    done.documents = [one["document"] for one in said if "document" in one]  # type: ignore[attr-defined]
    return done


def _document(answered: Any) -> dict[str, Any]:
    assert len(answered.documents) == 1, answered.stdout
    document: dict[str, Any] = answered.documents[0]
    return document


def test_every_host_has_findings_and_an_unreachable_one_hides_no_other(answered: Any) -> None:
    document = _document(answered)
    states = {(one["host"], one["check"]): one for one in document["findings"]}

    assert document["hosts"] == ["control-1", "cpu-1", "far-1"]
    assert states["control-1", "reachable"]["state"] == "well"
    assert states["far-1", "reachable"]["state"] == "broken"
    assert states["cpu-1", "clock"]["state"] == "well"
    assert states["cpu-1", "runtime"]["state"] == "broken"
    assert "no answer from the API server" in states["cpu-1", "node"]["value"]


def test_the_document_is_as_its_schema_says(answered: Any) -> None:
    schema = json.loads((places.REPOSITORY / "ci/schemas/validate.json").read_text())

    jsonschema.validate(_document(answered), schema)


def test_plain_ansible_prints_the_table_and_exits_with_2_when_something_is_broken(
    answered: Any,
) -> None:
    assert answered.returncode == 2
    assert "onprem is broken" in answered.stdout
    assert "changed=0" in answered.stdout
    assert "changed=1" not in answered.stdout


@pytest.mark.parametrize(("state", "code"), [("well", 0), ("degraded", 1), ("broken", 2)])
def test_yard_exits_with_the_number_of_the_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, code: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    contract.path("local").parent.mkdir(parents=True)
    contract.path("local").touch()
    document = {"environment": "local", "state": state, "hosts": [], "findings": []}
    outcome = playbook.Outcome(document=document)
    monkeypatch.setattr(playbook, "run", lambda *_: outcome)

    said = CliRunner().invoke(app, ["validate", "local", "--json"])

    assert said.exit_code == code
    assert json.loads(said.stdout)["state"] == state


@pytest.fixture
def module() -> ModuleType:
    """The module that observes a host."""
    return _plugin("modules/host_report.py")


class _Names(socketserver.BaseRequestHandler):
    """Knows one name; any other gets code 3."""

    def handle(self) -> None:
        asked, talk = self.request
        known = b"\x0akubernetes\x07default" in asked
        head = asked[:2] + (b"\x81\x80" if known else b"\x81\x83")
        talk.sendto(
            head + asked[4:6] + (b"\0\1" if known else b"\0\0") + bytes(4), self.client_address
        )


def test_a_name_server_is_believed_by_its_answer(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socketserver.UDPServer(("127.0.0.1", 0), _Names) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(module, "DNS_PORT", server.server_address[1])

        assert module.knows("127.0.0.1", "kubernetes.default.svc.cluster.local") == ""
        assert "not known" in module.knows("127.0.0.1", "elsewhere.example")
        server.shutdown()


def test_a_refusal_is_an_answer_of_a_pod_but_not_of_a_service(module: ModuleType) -> None:
    assert module.reaches("127.0.0.1:9") == ""
    assert module.reaches("127.0.0.1:9", "nobody is behind it") == "nobody is behind it"


def test_a_certificate_that_is_none_yields_a_complaint(module: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.crt"
    path.write_text("no certificate")

    assert str(module.days(str(path))).startswith("complaint:")
