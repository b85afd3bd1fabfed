"""The program itself: before a cluster exists, with a damaged contract, and how long it may be."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
import pytest

import infra.platform
from infra import contract
from infra.environment import Environment
from infra.platform import known
from tests.infra.platform.conftest import build, program

if TYPE_CHECKING:
    from tests.infra.conftest import Engine
    from tests.infra.platform.conftest import House

PLATFORM = Path(infra.platform.__file__).parent
LONGEST_DIAGRAM = 68
"""Lines of __main__.py: a wiring diagram fits on a screen."""


def test_a_preview_before_a_cluster_shows_the_whole_graph(
    engine: "Engine", here: Environment, house: "House"
) -> None:
    assert not contract.path(here.name).exists()

    engine.run(program, preview=True)

    # Only the custom resource definitions come out of files that are not there yet.
    shown = {one.name for one in engine.registered}
    real = {one.name for one in house.engine.registered}
    definitions = {one.name for one in house.engine.created("CustomResourceDefinition")}
    assert shown == real - definitions


def test_a_preview_before_a_cluster_reads_no_credential(
    engine: "Engine", here: Environment
) -> None:
    engine.run(program, preview=True)

    assert not (contract.path(here.name).parent / "credentials").exists()


def test_an_up_before_a_cluster_is_refused_with_the_command_that_makes_it(
    engine: "Engine", here: Environment
) -> None:
    with pytest.raises(pulumi.RunError, match=r"contract is .* does not exist.*yard up local"):
        engine.run(program)

    assert engine.registered == []


def test_an_image_that_the_contract_lacks_is_refused_by_name(
    engine: "Engine", here: Environment, tmp_path: Path
) -> None:
    made = build(tmp_path)
    images = {name: image for name, image in made.images.items() if "traefik" not in name}
    small = made.model_copy(update={"images": images})

    with pytest.raises(Exception, match=r"the platform runs modelyard/traefik, which is not among"):
        known.image(small, "modelyard/traefik")


def test_a_credential_that_is_missing_is_refused_by_its_file(
    here: Environment, tmp_path: Path
) -> None:
    made = build(tmp_path)
    (made.credentials / "token").unlink()

    with pytest.raises(Exception, match=r"credentials/token is None.*yard up local"):
        known.credential(made, "token")


def test_another_certificate_restarts_the_pods_that_read_it_only_at_their_start(
    here: Environment, tmp_path: Path
) -> None:
    made = build(tmp_path)
    before = known.checksum(made, "registry.crt", "htpasswd")
    assert known.checksum(made, "registry.crt", "htpasswd") == before

    (made.credentials / "registry.crt").write_text("another")

    assert known.checksum(made, "registry.crt", "htpasswd") != before


def test_the_program_is_a_wiring_diagram() -> None:
    text = (PLATFORM / "__main__.py").read_text()
    tree = ast.parse(text)

    assert len(text.splitlines()) <= LONGEST_DIAGRAM
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.For | ast.While)]


def test_every_component_is_called_by_its_name(house: "House") -> None:
    tokens = {
        one.type: one.name for one in house.engine.registered if one.type.startswith("modelyard:")
    }

    assert {token: token.rsplit(":", 1)[1].lower() for token in tokens} == {
        token: name.replace("-", "") for token, name in tokens.items()
    }
    assert all(token.startswith("modelyard:platform:") for token in tokens)


@pytest.mark.parametrize("path", sorted(PLATFORM.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_that_a_closed_network_lacks_is_used(path: Path) -> None:
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    forbidden = ("pulumi_kubernetes.yaml", "pulumi_kubernetes.helm", "pulumi_kubernetes.kustomize")
    assert [name for name in imported if name.startswith((*forbidden, "pulumi_command"))] == []


def test_secrets_are_secret_in_the_state(house: "House") -> None:
    mark = pulumi.runtime.rpc._special_sig_key
    secrets = house.engine.created("Secret")

    assert {one.inputs["metadata"]["name"] for one in secrets} == {
        "registry",
        "gateway-certificate",
        "doorkeeper-tokens",
        "registry-pull",
        "metrics-server-certificate",
    }
    for one in secrets:
        assert mark in one.inputs["data"], one.name


def test_no_secret_of_the_environment_stands_anywhere_else(house: "House") -> None:
    folder = house.contract.credentials
    hidden = [
        (folder / name).read_text()
        for name in ("token", "registry-push", "registry-pull", "passphrase", "ca.key")
    ]
    others = [
        str(one.inputs) for one in house.engine.registered if one.inputs.get("kind") != "Secret"
    ]

    for secret in hidden:
        assert not any(secret in text for text in others)


def test_the_cluster_holds_the_tokens_hash_and_never_the_token_or_the_push_password(
    house: "House",
) -> None:
    folder = house.contract.credentials
    everything = str([one.inputs for one in house.engine.registered])

    for name in ("token", "registry-push", "passphrase"):
        assert (folder / name).read_text() not in everything
