"""`yard bench` works; its figures on a machine that is busy with these tests mean nothing."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ci.bench import aims, page, profile, run
from ci.bench.rows import GATEWAY, ROWS, chosen
from ci.bench.stage import staged
from ci.report import silent
from tests.system.house import NAME, House
from tests.system.test_contract import conforms

pytestmark = pytest.mark.system

SECONDS = 0.4


def test_it_refuses_to_measure_beside_an_environment_that_is_up(house: House) -> None:
    result = house.yard("bench", "digits")

    assert result.returncode == 2, result.stderr
    assert NAME in result.stderr
    assert f"yard down {NAME}" in result.stderr


def test_every_row_answers_each_request_and_every_aim_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    with staged("digits", silent) as stage:
        results = run.rows(list(ROWS), stage, 1, SECONDS, "yard bench digits", silent)
        written = page.write(results, stage.python)

    conforms(results.model_dump(mode="json"), "bench")
    assert set(results.rounds[0]) == {row.name for row in ROWS}
    for name, measured in results.rounds[0].items():
        for figure in [*measured.closed.values(), *measured.open.values()]:
            assert figure.requests > 0, name
            assert figure.failed == 0, name
            assert figure.cpu_ms > 0, name
    assert len(results.verdicts) == len(aims.AIMS["digits"])
    assert "hot-int8" in written.read_text()
    assert ElementTree.parse(written.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_the_way_through_the_gateway_is_measured(house: House) -> None:
    said = house.done(
        "bench", "digits", "--in", NAME, "--rounds", "1", "--seconds", str(SECONDS), "--json"
    )

    document = json.loads(said)
    conforms(document, "bench")
    measured = document["rounds"][0][GATEWAY.name]
    assert all(figure["failed"] == 0 for figure in measured["closed"].values())
    assert all(figure["cpu_ms"] > 0 for figure in measured["closed"].values())


def test_a_profile_names_the_functions_of_the_hot_route() -> None:
    with staged("digits", silent) as stage:
        found = profile.profile(chosen("hot-int8")[0], stage, 2)

    named = {cost.function: cost.whole for cost in found}
    assert max(share for name, share in named.items() if "serving/application" in name) > 0.05
    assert sum(cost.own for cost in found) == pytest.approx(1)
