"""The tables against an account: what moto's copy of AWS says, and what a stub answers."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ci.aws import survey
from infra.environment import Environment
from infra.foundation import tables
from infra.foundation.settings import Aws


@pytest.fixture
def aws(dev: Environment) -> Aws:
    assert dev.aws is not None
    return dev.aws


def test_an_account_that_agrees_about_zones_and_types_has_no_disagreement(
    session: boto3.Session, aws: Aws
) -> None:
    assert list(survey._zones(session, aws)) == []
    assert list(survey._types(session, aws)) == []


def test_a_zone_that_the_account_has_not_is_told(session: boto3.Session, aws: Aws) -> None:
    other = aws.model_copy(update={"zones": ("usw2-az1", "usw2-az2", "usw2-az9")})

    (found,) = survey._zones(session, other)

    assert found.what == "zone usw2-az9"
    assert "usw2-az4" in found.found


def test_a_type_that_the_account_offers_nowhere_is_told(session: boto3.Session, aws: Aws) -> None:
    system = aws.pools[0].model_copy(update={"zones": ("euc1-az1",)})

    found = list(survey._types(session, aws.model_copy(update={"pools": (system,)})))

    assert [one.what for one in found] == ["m7i.xlarge in euc1-az1"]
    assert "usw2-az1" in found[0].found


class Answers:
    """A session of stubbed clients: moto knows no add-ons and no EKS images."""

    def __init__(self, versions: dict[str, str], release: str | None) -> None:
        self._versions, self._release = versions, release

    def client(self, name: str) -> Any:
        client = boto3.client(name, region_name="us-west-2")
        stub = Stubber(client)
        if name == "eks":
            for addon, version in self._versions.items():
                answer = {"addons": [{"addonVersions": [{"addonVersion": version}]}]}
                asked = {"addonName": addon, "kubernetesVersion": "1.35"}
                stub.add_response("describe_addon_versions", answer, asked)
        elif self._release is None:
            stub.add_client_error("get_parameter", "ParameterNotFound")
        else:
            stub.add_response("get_parameter", {"Parameter": {"Value": self._release}})
        stub.activate()
        return client


@pytest.fixture
def known(aws: Aws) -> tables.Set:
    return tables.sets().sets[aws.versions]


def compare(session: Answers, aws: Aws) -> list[survey.Disagreement]:
    return list(survey._versions(session, aws))


def test_versions_that_the_account_offers_are_no_disagreement(
    session: boto3.Session, aws: Aws, known: tables.Set
) -> None:
    assert compare(Answers(known.addons, known.image_release), aws) == []


def test_an_add_on_version_that_is_not_offered_is_told(
    session: boto3.Session, aws: Aws, known: tables.Set
) -> None:
    newer = known.addons | {"coredns": "v9.9.9-eksbuild.1"}

    (found,) = compare(Answers(newer, known.image_release), aws)

    assert found.what == "add-on coredns"
    assert found.found == "v9.9.9-eksbuild.1"


def test_an_image_that_is_not_there_is_told_for_each_kind_of_node(
    session: boto3.Session, aws: Aws, known: tables.Set
) -> None:
    found = compare(Answers(known.addons, None), aws)

    assert [one.what for one in found] == [
        "image amazon-eks-node-al2023-x86_64-nvidia-1.35-v20260512",
        "image amazon-eks-node-al2023-x86_64-standard-1.35-v20260512",
    ]
    assert {one.found for one in found} == {"absent"}
