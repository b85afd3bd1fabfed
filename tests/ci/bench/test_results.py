"""Figures, aims and pages; what the repository keeps is what its figures say."""

import json
from pathlib import Path

import pytest

from ci.bench import aims, page
from ci.bench.profile import costs
from ci.bench.results import Figure, Measured, Results, Round, machine
from ci.bench.rows import ROWS, chosen
from infra import places
from infra.refusal import Refusal


def measured(rps: float, *, cpu: float = 0.2, p99: float = 0.9, failed: int = 0) -> Measured:
    """A row that is equally fast at every concurrency."""
    one = Figure(
        requests=100, failed=failed, rps=rps, p50_ms=0.5, p99_ms=p99, cpu_ms=cpu, client=0.1
    )
    return Measured(closed=dict.fromkeys((1, 8, 32), one), open=dict.fromkeys((50, 80), one))


def rounds(*rates: tuple[float, float]) -> list[Round]:
    """Rounds with the hot route's and the peer's rates."""
    return [{"hot-int8": measured(hot), "fastapi-int8": measured(peer)} for hot, peer in rates]


def results(found: list[Round]) -> Results:
    return Results(
        model="digits",
        version="1.0.0",
        command=".venv/bin/yard bench digits",
        seconds=1,
        machine=machine(),
        rounds=found,
        verdicts=aims.judge("digits", found),
    )


def test_a_ratio_is_taken_within_each_round_and_judged_by_the_middle_one() -> None:
    found = rounds((100, 100), (170, 200), (80, 100))

    verdict = aims.judge("digits", found)[0]

    assert (verdict.figure, verdict.lowest, verdict.highest) == (0.85, 0.8, 1.0)
    assert not verdict.met


def test_an_aim_whose_rows_were_left_out_is_not_judged() -> None:
    only = [{"hot-int8": measured(100)}]

    texts = [verdict.aim for verdict in aims.judge("digits", only)]

    assert texts
    assert not any("fastapi" in text for text in texts)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (measured(100, cpu=0.36), "CPU"),
        (measured(100, p99=1.5), "p99"),
        (measured(100, failed=1), "not answered"),
    ],
)
def test_a_figure_beyond_its_bound_misses_its_aim_alone(row: Measured, word: str) -> None:
    missed = [one.aim for one in aims.judge("digits", [{"hot-int8": row}]) if not one.met]

    assert len(missed) == 1
    assert word in missed[0]


def test_every_aim_is_of_rows_that_exist() -> None:
    known = {row.name for row in ROWS}

    assert {row for listed in aims.AIMS.values() for aim in listed for row in aim.rows} <= known


def test_an_unknown_row_is_refused_with_the_known_ones() -> None:
    assert [row.name for row in chosen("echo,hot-int8")] == ["echo", "hot-int8"]
    with pytest.raises(Refusal, match="hot-int8"):
        chosen("echo,warm")


def test_the_page_tells_each_row_with_its_spread_and_each_verdict() -> None:
    text = page.markdown(results(rounds((100, 110), (90, 100), (95, 120))), "digits")

    assert "| hot-int8 | our hot route, int8 | 95 (90-100) |" in text
    assert "0.9 (0.792-0.909) | met |" in text
    assert "`.venv/bin/yard bench digits --write`" in text


@pytest.mark.parametrize("figures", sorted(page.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_kept_page_says_what_its_figures_say(figures: Path) -> None:
    kept = Results.model_validate_json(figures.read_text())

    assert figures.with_suffix(".md").read_text() == page.markdown(kept, figures.stem)
    assert aims.judge(kept.model, kept.rounds) == kept.verdicts
    assert figures.with_suffix(".svg").is_file()


def test_the_schema_of_the_document_is_that_of_the_results() -> None:
    kept = json.loads((places.REPOSITORY / "ci/schemas/bench.json").read_text())

    assert kept == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Results.model_json_schema(),
        "title": "yard bench NAME --json",
    }


def test_a_profile_counts_a_function_once_a_sample_and_only_the_loop_that_answers() -> None:
    samples = "\n".join(
        [
            "main (a.py:1);run (uvicorn/x.py:5);read (b.py:2) 3",
            "main (a.py:1);run (uvicorn/x.py:6);read (b.py:3);read (b.py:9) 1",
            "wait (threading.py:1) 96",
        ]
    )

    found = {cost.function: (cost.own, cost.whole) for cost in costs(samples)}

    assert found["read (b.py"] == (1.0, 1.0)
    assert found["run (uvicorn/x.py"] == (0.0, 1.0)
    assert not any("threading" in name for name in found)
