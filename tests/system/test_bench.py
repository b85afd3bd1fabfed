"""`yard bench` beside an environment that is up, and through its gateway."""

import json

import pytest

from ci.bench.rows import GATEWAY
from tests.system.house import NAME, House
from tests.system.test_contract import conforms

pytestmark = pytest.mark.system

SECONDS = 0.4


def test_it_refuses_to_measure_beside_an_environment_that_is_up(house: House) -> None:
    result = house.yard("bench", "digits")

    assert result.returncode == 2, result.stderr
    assert NAME in result.stderr
    assert f"yard down {NAME}" in result.stderr


def test_the_way_through_the_gateway_is_measured(house: House) -> None:
    said = house.done(
        "bench", "digits", "--in", NAME, "--rounds", "1", "--seconds", str(SECONDS), "--json"
    )

    document = json.loads(said)
    conforms(document, "bench")
    measured = document["rounds"][0][GATEWAY.name]
    assert all(figure["failed"] == 0 for figure in measured["closed"].values())
    assert all(figure["cpu_ms"] > 0 for figure in measured["closed"].values())
