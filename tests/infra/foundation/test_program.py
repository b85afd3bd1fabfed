"""The foundation's program: for every environment, without an account, with damaged input."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
import pytest

import infra.foundation
from tests.infra.foundation.answers import ANSWERS
from tests.infra.foundation.conftest import IN_ACCOUNTS, Estate, program

if TYPE_CHECKING:
    from tests.infra.conftest import Engine

FOUNDATION = Path(infra.foundation.__file__).parent
LONGEST_DIAGRAM = 80
"""Lines of __main__.py: a wiring diagram."""


def test_there_are_three_environments_in_accounts() -> None:
    assert sorted(IN_ACCOUNTS) == ["dev", "prod", "staging"]


def test_a_preview_shows_what_an_up_would_register(estate: Estate, engine: "Engine") -> None:
    engine.run(program, stack=estate.environment.name, preview=True)

    assert {one.name for one in engine.registered} == {one.name for one in estate.engine.registered}


def test_an_account_is_not_made_for_a_cluster_of_hosts(engine: "Engine") -> None:
    with pytest.raises(pulumi.RunError, match=r"cluster.substrate is 'hosts'.*yard up local"):
        engine.run(program, stack="local")

    assert engine.registered == []


def test_the_program_is_a_wiring_diagram() -> None:
    text = (FOUNDATION / "__main__.py").read_text()
    tree = ast.parse(text)

    assert len(text.splitlines()) <= LONGEST_DIAGRAM
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.For | ast.While)]


@pytest.mark.parametrize("path", sorted(FOUNDATION.glob("*.py")), ids=lambda path: path.stem)
def test_no_file_asks_the_account_while_it_previews(path: Path) -> None:
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert not [name for name in calls if name.startswith("get_") and name != "get_stack"]
    assert "boto3" not in path.read_text()


@pytest.mark.parametrize("path", sorted(FOUNDATION.glob("*.py")), ids=lambda path: path.stem)
def test_no_file_asks_for_the_name_of_an_environment(path: Path) -> None:
    names = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert not names & {"dev", "staging", "prod", "local", "test"}


@pytest.mark.parametrize("path", sorted(FOUNDATION.glob("*.py")), ids=lambda path: path.stem)
def test_no_file_hides_a_module_of_a_library(path: Path) -> None:
    # `pulumi up` puts the program's folder first on the path.
    taken = {"secrets", "types", "json", "kubernetes", "logging", "queue", "select", "platform"}

    assert path.stem not in taken


def test_every_component_has_a_token_of_its_own_kind(estate: Estate) -> None:
    tokens = {one.type for one in estate.engine.registered if one.type.startswith("modelyard:")}

    assert all(token.startswith("modelyard:foundation:") for token in tokens)
    assert len(tokens) == 19


def test_logical_names_are_different(estate: Estate) -> None:
    names = [(one.type, one.name) for one in estate.engine.registered]

    assert len(set(names)) == len(names)


def test_logical_names_do_not_change_with_the_environment(estates: dict[str, Estate]) -> None:
    # They are keys of the state: what all environments have is called the same everywhere.
    network = {
        name: {one.name for one in estate.engine.registered if one.name.startswith("network-")}
        for name, estate in estates.items()
    }

    assert network["dev"] == network["staging"]
    assert network["prod"] - network["dev"] == {
        f"network-nat-{number}{what}" for number in (2, 3) for what in ("", "-address")
    }


def test_the_provider_refuses_any_other_account(estate: Estate) -> None:
    account = estate.one("pulumi:providers:aws")

    # Provider inputs travel as JSON text.
    assert account["allowedAccountIds"] == f'["{estate.aws.account}"]'
    assert account["region"] == estate.aws.region


def test_everything_says_whose_cost_it_is(estate: Estate) -> None:
    tags = estate.one("pulumi:providers:aws")["defaultTags"]

    assert f'"modelyard:environment":"{estate.environment.name}"' in tags.replace(": ", ":")


def test_what_only_aws_can_tell_is_handed_over(
    estate: Estate, engine: "Engine", monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.answers = ANSWERS
    exported: dict[str, object] = {}
    monkeypatch.setattr(pulumi, "export", exported.__setitem__)

    engine.run(program, stack=estate.environment.name)

    facts = exported["facts"]
    assert isinstance(facts, dict)
    assert set(facts) == {
        "cluster", "api", "authority", "load_balancer", "artifacts", "databases", "region",
    }  # fmt: skip
    assert set(facts["databases"]) == {"tracking", "events"}
