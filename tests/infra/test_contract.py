from pathlib import Path

import pytest

from infra import contract, environment
from infra.contract import Contract, Image
from infra.environment import Environment
from infra.foundation.told import Database, Told
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


def test_policies_hold_on_cilium_and_not_on_the_bridge(facts: Contract) -> None:
    fenced = contract.promised(environment.load("fenced"))

    assert (fenced.network_engine, fenced.enforces_network_policy) == ("cilium", True)
    assert (facts.network_engine, facts.enforces_network_policy) == ("bridge", False)


def test_a_contract_without_a_pool_of_a_kind_says_so(facts: Contract) -> None:
    small = facts.model_copy(update={"pools": [facts.pool("cpu")]})

    with pytest.raises(KeyError, match="gpu"):
        small.pool("gpu")


def told() -> Told:
    return Told(
        cluster="modelyard-prod",
        api="https://cluster.invalid",
        authority="YXV0aG9yaXR5",
        load_balancer="balancer.invalid",
        artifacts="s3://modelyard-prod-artifacts-777788889999",
        databases={"tracking": Database(address="db.invalid:5432", secret="arn:aws:secret")},
        region="us-west-2",
    )


def test_an_account_promises_its_registry_gateway_and_pools(in_account: Environment) -> None:
    facts = contract.promised(in_account)

    assert facts.promised
    assert facts.registry.pull == "777788889999.dkr.ecr.us-west-2.amazonaws.com/models"
    assert facts.registry.pulled_by == "nodes"
    assert facts.gateway.url == "https://models.example.com"
    assert facts.existing == ("registry",)
    assert facts.enforces_network_policy
    assert [(pool.name, pool.kind, pool.gpus_per_node) for pool in facts.pools] == [
        ("system", "cpu", 0),
        ("gpu", "gpu", 1),
        ("gpu-parts", "gpu", 56),
        ("training", "gpu", 8),
        ("neuron", "neuron", 1),
        ("arm", "cpu", 0),
    ]


def test_what_only_the_account_knows_is_not_promised(in_account: Environment) -> None:
    facts = contract.promised(in_account)

    assert facts.api == "not known before the cluster is"
    assert facts.databases == {}
    assert facts.artifacts is None


def test_what_the_foundation_told_settles_the_promise(in_account: Environment) -> None:
    facts = contract.settled(in_account, told(), {}, {})

    assert not facts.promised
    assert facts.api == "https://cluster.invalid"
    assert facts.artifacts == "s3://modelyard-prod-artifacts-777788889999"
    assert facts.databases["tracking"].address == "db.invalid:5432"
    assert facts.pools == contract.promised(in_account).pools


def test_the_contract_of_an_account_survives_being_written_and_read(
    in_account: Environment,
) -> None:
    made = contract.settled(in_account, told(), {}, {})
    where = contract.path(in_account.name)
    where.parent.mkdir(parents=True)
    where.write_text(made.model_dump_json())

    assert contract.load(in_account) == made


@pytest.fixture
def in_account(here: Environment) -> Environment:
    return environment.load("prod")
