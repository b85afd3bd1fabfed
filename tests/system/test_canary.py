"""A canary by hand: the share is as told, nobody else moves it, promote and abort end it."""

import json
from collections import Counter
from typing import Any

import httpx
import pytest
import yaml
from scipy.stats import binom

from infra import places
from tests.system.house import NAME, House, Kubernetes, released, told, until

pytestmark = pytest.mark.system

WEIGHT = 20
ASKED = 600
PREDICT = "/digits/v1/predict"
WEIGHTS = "/apis/traefik.io/v1alpha1/namespaces/models/traefikservices/digits"


def next_patch(version: str) -> str:
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"


def answers(gateway: httpx.Client, example: dict[str, Any], number: int) -> Counter[str]:
    """How many of so many responses came from each digest; every one is a good response."""
    seen: Counter[str] = Counter()
    for _ in range(number):
        response = gateway.post(PREDICT, json={"images": example["images"][:1]})
        assert response.status_code == 200, response.text
        seen[response.json()["model"]["digest"]] += 1
    return seen


def weights(kubernetes: Kubernetes) -> dict[str, int]:
    """The weights that the gateway obeys, by Service."""
    services = kubernetes.get(WEIGHTS)["spec"]["weighted"]["services"]
    return {service["name"]: service.get("weight", 0) for service in services}


def assert_share(seen: Counter[str], digest: str) -> None:
    """The digest's share of the responses lies in the binomial 99.9 % bounds of WEIGHT."""
    total = sum(seen.values())
    low, high = binom.interval(0.999, total, WEIGHT / 100)
    assert low <= seen[digest] <= high, f"{seen[digest]} of {total}, not {low:.0f} to {high:.0f}"


@pytest.fixture(scope="module")
def stable(house: House) -> dict[str, Any]:
    """The version that serves alone before the canary comes."""
    (only,) = house.versions("digits")
    return only


@pytest.fixture(scope="module")
def canary(house: House, stable: dict[str, Any]) -> dict[str, Any]:
    """A further version of digits at WEIGHT percent."""
    version = next_patch(stable["version"])
    house.done("ship", "digits", "--to", NAME, "--version", version, "--canary", str(WEIGHT))
    (found,) = (v for v in house.versions("digits") if v["version"] == version)
    return found


def test_status_shows_both_versions_with_their_weights(
    house: House, stable: dict[str, Any], canary: dict[str, Any]
) -> None:
    told_versions = {v["digest"]: (v["version"], v["weight"]) for v in house.versions("digits")}

    assert told_versions == {
        stable["digest"]: (stable["version"], 100 - WEIGHT),
        canary["digest"]: (next_patch(stable["version"]), WEIGHT),
    }


def test_the_canary_answers_its_share_of_requests(
    gateway: httpx.Client, stable: dict[str, Any], canary: dict[str, Any], example: dict[str, Any]
) -> None:
    seen = answers(gateway, example, ASKED)

    assert set(seen) == {stable["digest"], canary["digest"]}
    assert_share(seen, canary["digest"])


@pytest.mark.parametrize("command", ["refresh --yes", "up --yes", "preview --refresh"])
def test_plain_pulumi_in_the_middle_changes_nothing(
    house: House, kubernetes: Kubernetes, canary: dict[str, Any], command: str
) -> None:
    before = weights(kubernetes)
    result = house.by_hand(
        places.REPOSITORY / "infra/models", f"pulumi {command} --expect-no-changes"
    )

    assert result.returncode == 0, told(result)
    assert weights(kubernetes) == before
    assert sorted(before.values()) == [WEIGHT, 100 - WEIGHT]


def test_yard_up_in_the_middle_changes_nothing(
    house: House,
    kubernetes: Kubernetes,
    gateway: httpx.Client,
    canary: dict[str, Any],
    example: dict[str, Any],
) -> None:
    said = house.done("up", NAME)

    assert "nothing changed" in said
    assert sorted(weights(kubernetes).values()) == [WEIGHT, 100 - WEIGHT]
    assert_share(answers(gateway, example, ASKED), canary["digest"])


def test_preview_in_the_middle_counts_no_change(house: House, canary: dict[str, Any]) -> None:
    changes = json.loads(house.done("preview", NAME, "--json"))["changes"]

    assert changes.pop("same") > 0
    assert set(changes.values()) == {0}


@pytest.fixture(scope="module")
def promoted(house: House, canary: dict[str, Any]) -> dict[str, Any]:
    """The canary after a person gave it everything."""
    house.done("promote", "digits", "--in", NAME)
    return canary


def test_a_promoted_canary_answers_everything(
    house: House, gateway: httpx.Client, promoted: dict[str, Any], example: dict[str, Any]
) -> None:
    assert house.versions("digits") == [{**promoted, "weight": 100}]
    assert answers(gateway, example, 100) == {promoted["digest"]: 100}


def test_after_the_promotion_the_intent_is_the_new_version_at_full_weight(
    house: House, promoted: dict[str, Any]
) -> None:
    intent = yaml.safe_load(released(house, "digits").read_text())

    assert intent["version"] == promoted["version"]
    assert intent["digest"] == promoted["digest"]
    assert intent.get("weight") is None


@pytest.fixture(scope="module")
def aborted(house: House, promoted: dict[str, Any]) -> str:
    """A further version as a canary, ended by a person; its digest."""
    version = next_patch(promoted["version"])
    house.done("ship", "digits", "--to", NAME, "--version", version, "--canary", str(WEIGHT))
    (found,) = (v for v in house.versions("digits") if v["version"] == version)
    house.done("abort", "digits", "--in", NAME)
    return str(found["digest"])


def test_after_an_abort_the_version_before_answers_everything(
    house: House,
    gateway: httpx.Client,
    promoted: dict[str, Any],
    aborted: str,
    example: dict[str, Any],
) -> None:
    assert aborted != promoted["digest"]
    assert answers(gateway, example, 100) == {promoted["digest"]: 100}
    assert house.versions("digits") == [{**promoted, "weight": 100}]


def test_after_an_abort_the_intent_is_the_version_before(
    house: House, promoted: dict[str, Any], aborted: str
) -> None:
    intent = yaml.safe_load(released(house, "digits").read_text())

    assert (intent["version"], intent["digest"]) == (promoted["version"], promoted["digest"])
    assert intent.get("weight") is None


def test_after_an_abort_neither_up_nor_a_preview_brings_the_aborted_version_back(
    house: House,
    gateway: httpx.Client,
    promoted: dict[str, Any],
    aborted: str,
    example: dict[str, Any],
) -> None:
    house.done("up", NAME)

    changes = json.loads(house.done("preview", NAME, "--json"))["changes"]
    assert changes.pop("same") > 0
    assert set(changes.values()) == {0}
    assert answers(gateway, example, 100) == {promoted["digest"]: 100}


def test_no_pod_of_the_aborted_version_is_left(
    kubernetes: Kubernetes, promoted: dict[str, Any], aborted: str
) -> None:
    def digests() -> set[str]:
        pods = kubernetes.items(
            "/api/v1/namespaces/models/pods", labelSelector="modelyard.dev/model=digits"
        )
        return {pod["spec"]["containers"][0]["image"].rsplit("@", 1)[1] for pod in pods}

    until("only the stable version has pods", lambda: digests() == {promoted["digest"]})
