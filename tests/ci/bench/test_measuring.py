"""Every row is measured for real; on a machine that is busy with tests its figures mean nothing."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from ci.bench import aims, page, profile, run
from ci.bench.rows import ROWS, chosen
from ci.bench.stage import staged
from ci.report import silent
from tests.system.test_contract import conforms

pytestmark = pytest.mark.training

SECONDS = 0.4


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
        figures = [*measured.closed.values(), *measured.open.values()]
        for figure in figures:
            assert figure.requests > 0, name
            assert figure.failed == 0, name
        # /proc counts in hundredths of a second, in which a slow loop may use none.
        assert max(figure.cpu_ms for figure in figures) > 0, name
    assert len(results.verdicts) == len(aims.AIMS["digits"])
    assert "hot-int8" in written.read_text()
    assert ElementTree.parse(written.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_a_profile_names_the_functions_of_the_hot_route() -> None:
    with staged("digits", silent) as stage:
        found = profile.profile(chosen("hot-int8")[0], stage, 2)

    named = {cost.function: cost.whole for cost in found}
    assert max(share for name, share in named.items() if "serving/application" in name) > 0.05
    assert sum(cost.own for cost in found) == pytest.approx(1)
