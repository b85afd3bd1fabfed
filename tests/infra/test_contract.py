from pathlib import Path

import pytest

from infra import contract
from infra.contract import Contract, Image
from infra.environment import Environment
from infra.refusal import Refusal

DIGEST = "sha256:" + "a" * 64


def test_a_contract_survives_being_written_and_read(here: Environment) -> None:
    made = contract.promised(here).model_copy(
        update={
            "images": {
                "modelyard/shell": Image(reference="modelyard.internal/shell:1", digest=DIGEST)
            },
            "crds": {"traefik": Path("/tmp/crds.yml")},
            "promised": False,
        }
    )
    where = contract.path(here.name)
    where.parent.mkdir(parents=True)
    where.write_text(made.model_dump_json())

    assert contract.load(here) == made


def test_a_missing_contract_is_refused_with_the_command_that_makes_it(here: Environment) -> None:
    with pytest.raises(Refusal, match=r"contract is .*contract\.json.*yard up local"):
        contract.load(here)


def test_an_unknown_key_in_a_contract_is_refused(here: Environment) -> None:
    where = contract.path(here.name)
    where.parent.mkdir(parents=True)
    text = contract.promised(here).model_dump_json()
    where.write_text(text.replace('"promised":', '"gossip": 1, "promised":'))

    with pytest.raises(Refusal, match="gossip is 1"):
        contract.load(here)


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        ("modelyard.internal/shell:1", f"modelyard.internal/shell@{DIGEST}"),
        ("registry:5000/team/name:v1.2.3", f"registry:5000/team/name@{DIGEST}"),
    ],
)
def test_a_pinned_image_has_its_digest_in_place_of_its_tag(reference: str, pinned: str) -> None:
    assert Image(reference=reference, digest=DIGEST).pinned == pinned


def test_a_promise_knows_addresses_and_pools_but_no_digest(facts: Contract) -> None:
    assert facts.promised
    assert facts.images == {}
    assert facts.registry.push == "127.0.0.1:5443"
    assert facts.gateway.url == "https://127.0.0.1:8443"
    assert facts.pool("cpu").labels == {"modelyard.dev/pool": "cpu", "modelyard.dev/kind": "cpu"}
    assert facts.pool("gpu").taint == "nvidia.com/gpu=present:NoSchedule"
    assert facts.pool("gpu").labels["nvidia.com/gpu.present"] == "true"


def test_a_contract_without_a_pool_of_a_kind_says_so(facts: Contract) -> None:
    small = facts.model_copy(update={"pools": [facts.pool("cpu")]})

    with pytest.raises(KeyError, match="gpu"):
        small.pool("gpu")
