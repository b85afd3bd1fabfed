"""What must not get through does not, by the real command: bad models and bad files."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.system.house import NAME, Clone, House, released, run, told

pytestmark = pytest.mark.system

BENTO = "bentos/digits.yaml"
ENVIRONMENT = f"Pulumi.{NAME}.yaml"


def edit(path: Path, keys: tuple[str, ...], value: Any) -> None:
    """Set one key of a YAML file, however deep, as a person would in an editor."""
    document = yaml.safe_load(path.read_text())
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def registered(house: House) -> list[str]:
    """Tags of digits in the environment's registry."""
    password = (house.contract.credentials / "registry-pull").read_text().strip()
    answer = httpx.get(
        f"https://{house.contract.registry.push}/v2/digits/tags/list",
        auth=("pull", password),
        verify=house.trust,
        trust_env=False,
    )
    answer.raise_for_status()
    return sorted(answer.json()["tags"] or [])


def test_a_broken_quantization_is_refused_by_its_gates_and_nothing_is_shipped(
    clone: Clone, house: House
) -> None:
    before = (house.versions("digits"), released(house, "digits").read_bytes(), registered(house))
    # Ranges that no activation stays in: every value saturates, and the net guesses.
    edit(clone.path / BENTO, ("quantization", "parameters", "activation_range"), [0.0, 0.001])

    result = clone.yard("ship", "digits", "--to", NAME, "--version", "9.9.9")

    said = result.stdout + result.stderr
    assert result.returncode == 2, told(result)
    assert "accuracy" in said
    assert "gate" in said
    assert "Traceback" not in said
    after = (house.versions("digits"), released(house, "digits").read_bytes(), registered(house))
    assert after == before


@pytest.mark.parametrize(
    ("file", "keys", "value", "words"),
    [
        (BENTO, ("colour",), "blue", ("colour", "blue")),
        (BENTO, ("gates", "beauty"), 1, ("beauty",)),
        (BENTO, ("version",), "latest", ("version", "latest")),
        (BENTO, ("training", "epochs"), "many", ("epochs", "many")),
        (BENTO, ("serving", "pool"), "tpu", ("pool", "tpu")),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_an_unsound_bento_file_is_refused_with_file_key_value_rule_and_remedy(
    clone: Clone, file: str, keys: tuple[str, ...], value: Any, words: tuple[str, ...]
) -> None:
    edit(clone.path / file, keys, value)

    result = clone.yard("ship", "digits", "--to", NAME)

    assert_refused(result.returncode, result.stdout + result.stderr, file, words)


@pytest.mark.parametrize(
    ("command", "keys", "value", "words"),
    [
        ("status", ("colour",), "blue", ("colour", "blue")),
        ("preview", ("ports", "gateway"), "https", ("ports.gateway", "https")),
        ("up", ("network", "pods"), "10.245.0.1/16", ("network.pods", "10.245.0.1/16")),
        ("env", ("supply",), "internet", ("supply", "internet")),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_an_unsound_environment_file_is_refused_with_file_key_value_rule_and_remedy(
    clone: Clone, command: str, keys: tuple[str, ...], value: Any, words: tuple[str, ...]
) -> None:
    path = clone.path / ENVIRONMENT
    edit(path, ("config", "modelyard:environment", *keys), value)

    result = clone.yard(command, NAME)

    assert_refused(result.returncode, result.stdout + result.stderr, ENVIRONMENT, words)


def assert_refused(code: int, said: str, file: str, words: tuple[str, ...]) -> None:
    """Exit code 2; file, key and value are named; a remedy says what to do; no trace."""
    # Long lines may be wrapped anywhere between words.
    flat = " ".join(said.split())
    assert code == 2, said
    assert file in flat
    assert [word for word in words if word not in flat] == []
    assert any(verb in flat for verb in ("Set ", "Remove ", "Correct ", "Add ", "Use ")), said
    assert "Traceback" not in said


def test_a_clone_that_does_not_act_for_the_owner_is_refused_with_the_owners_path(
    clone: Clone, house: House
) -> None:
    result = run(clone.path / ".venv/bin/yard", "up", NAME, inside=clone.path)

    assert result.returncode == 2, told(result)
    assert str(house.yard_path.parents[2]) in " ".join((result.stdout + result.stderr).split())
