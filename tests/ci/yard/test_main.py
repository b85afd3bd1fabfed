"""The command line as a person or a script meets it: exit codes, refusals, documents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ci.pipeline import events, preview, status
from ci.pipeline.rollouts import Service
from ci.pipeline.stacks import Changes, Step
from ci.yard import main
from ci.yard import status as status_command

SCHEMAS = Path(main.__file__).parent.parent / "schemas"
DIGEST = "sha256:" + "a" * 64

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def yard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["yard", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.run()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def conforms(document: Any, name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def found() -> status.Status:
    version = {"version": "1.0.0", "digest": DIGEST, "weight": 100}
    return status.Status(
        environment="test",
        supply="closed",
        nodes=[status.Node(name="cpu-1", role="worker", ready=False, pool="cpu")],
        pools=[status.PoolState(name="gpu", kind="gpu", simulated=True, nodes=1, gpus=2)],
        network=status.NetworkState(engine="bridge", policies="not enforced"),
        platform=[status.Component(namespace="gateway", name="traefik", ready=1, wanted=2)],
        services=[
            Service.model_validate(
                {
                    "name": "digits",
                    "url": "https://127.0.0.1:8443/digits",
                    "token_file": "/t",
                    "ca_file": "/c",
                    "versions": [version],
                }
            )
        ],
    )


def test_an_unknown_environment_is_refused_with_key_value_rule_and_remedy(yard: Run) -> None:
    code, _, said = yard("up", "nowhere")

    assert code == 2
    keys = [line.split(":")[0].strip() for line in said.splitlines()]
    assert keys == ["refused", "key", "value", "rule", "remedy"]
    assert "nowhere" in said
    known = said.split("Known environments: ")[1].rstrip(".\n").split(", ")
    assert {"local", "onprem", "prod", "test"} <= set(known)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "test"),
        ("predict", "digits", "--in", "test"),
        ("ship", "digits", "--to", "test"),
        ("logs", "digits", "--in", "test"),
    ],
)
def test_an_environment_that_is_not_up_is_refused_with_the_command_that_brings_it_up(
    yard: Run, arguments: tuple[str, ...]
) -> None:
    code, _, said = yard(*arguments)

    assert code == 2
    assert "remedy: Run `yard up test`" in said


@pytest.mark.parametrize("weight", ["0", "100", "-1"])
def test_a_canary_of_nothing_or_everything_is_refused(yard: Run, weight: str) -> None:
    code, _, said = yard("ship", "digits", "--to", "test", "--canary", weight)

    assert code == 2
    assert f"value:  {weight}" in said


def test_an_option_of_the_wrong_type_is_refused(yard: Run) -> None:
    code, _, said = yard("predict", "digits", "--count", "many")

    assert code == 2
    assert "--count" in said


def test_a_failure_ends_with_1_its_text_and_a_file_with_the_trace(
    yard: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("no disk is left. Free some.")

    monkeypatch.setattr("ci.pipeline.status.read", fail)

    code, out, said = yard("status", "test")

    assert (code, out) == (1, "")
    assert said.splitlines()[0] == "failed: no disk is left. Free some."
    trace = Path(said.splitlines()[1].removeprefix("  the trace is in "))
    assert "RuntimeError: no disk" in trace.read_text()


def test_the_status_document_is_the_one_that_its_schema_describes() -> None:
    conforms(found().model_dump(mode="json"), "status")


def test_the_status_says_in_words_what_is_simulated_not_enforced_and_not_ready() -> None:
    said = "\n".join(status_command.lines(found()))

    assert "simulated" in said
    assert "policies not enforced" in said
    assert said.count("NOT READY") == 2
    assert f"1.0.0    100 %  {DIGEST}" in said


def test_the_preview_document_counts_over_both_projects() -> None:
    changes = Changes(create=1, same=3, steps=[Step(urn="urn:x", op="create", paths=("spec",))])
    document = preview.Preview("test", {"platform": changes, "models": changes}).document()

    conforms(document, "preview")
    assert document["changes"] == {"create": 2, "update": 0, "replace": 0, "delete": 0, "same": 6}


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_preview_that_a_policy_refused_is_told_whole_and_fails(
    yard: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    urn = "urn:pulumi:test::modelyard::kubernetes:apps/v1:Deployment::bad"
    changes = Changes(
        create=1,
        steps=[Step(urn, "create")],
        violations=[events.Violation(urn, "probed", "Probes!")],
    )
    refused = preview.Preview("test", {"platform": changes}, {"platform": "policy probed: Probes!"})
    monkeypatch.setattr(preview, "run", lambda *_: refused)

    full = tmp_path / "folder" / "full.md"
    code, out, said = yard("preview", "test", "--format", form, "--full", str(full))

    assert code == 1
    assert "bad" in out
    assert "next:" not in out
    assert "policy probed: Probes!" in said
    assert "### Refused by policy (1)" in full.read_text()


def test_a_commit_to_compare_with_is_refused_unless_offline(yard: Run) -> None:
    code, _, said = yard("preview", "test", "--against", "main")

    assert code == 2
    assert "remedy: Add --offline." in said


def test_the_doctor_document_is_the_one_that_its_schema_describes(yard: Run) -> None:
    code, out, _ = yard("doctor", "test", "--json")

    assert code == 0
    conforms(json.loads(out), "doctor")


def test_doctor_names_a_remedy_for_whatever_is_missing(yard: Run) -> None:
    _, out, _ = yard("doctor", "test")

    lines = out.splitlines()
    missing = [number for number, line in enumerate(lines) if line.startswith("missing")]
    assert missing
    assert all("remedy:" in lines[number + 1] for number in missing)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_a_schema_is_a_schema_and_closed(path: Path) -> None:
    schema = json.loads(path.read_text())

    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        conforms({"surprise": 1}, path.stem)
