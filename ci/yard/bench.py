"""`yard bench NAME`."""

from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ci.bench import page, profile, run
from ci.bench.profile import Cost
from ci.bench.results import Results
from ci.bench.rows import chosen
from ci.bench.stage import require_quiet, staged
from ci.pipeline import bento
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import contract, environment

WIDTH = 200
"""Columns that hold a row of the table on one line."""

LISTED = 25
"""Functions that a profile names."""


def command(
    name: arguments.Model,
    rows: Annotated[
        str | None, typer.Option(metavar="ROW,...", help="Only these rows; else all.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option("--in", metavar="ENV", help="Only the way through ENV's gateway."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=99, help="Times each row is measured.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="Seconds of each loop.")] = 5.0,
    write: Annotated[
        bool, typer.Option("--write", help="Keep figures, page and plot in docs/benchmarks.")
    ] = False,
    profiled: Annotated[
        str | None,
        typer.Option("--profile", metavar="ROW", help="Only say where this row's time goes."),
    ] = None,
    json_: arguments.Json = False,
) -> None:
    """Measure how fast a model is served, beside its peers; no environment may be up meanwhile."""
    bento.load(name)
    wanted = chosen(profiled or rows)
    facts = contract.load(environment.load(within)) if within else None
    if facts is None:
        require_quiet()
    told = _told(name, rows, within, rounds, seconds)
    with Progress() as progress, ExitStack() as stack:
        steps = Steps(progress)
        with steps.step("prepare") as report:
            stage = stack.enter_context(staged(name, report))
        with steps.step("measure") as report:
            if profiled:
                _costs(profile.profile(wanted[0], stage, seconds))
                return
            if facts:
                results = run.through_gateway(facts, stage, rounds, seconds, told, report)
            else:
                results = run.rows(wanted, stage, rounds, seconds, told, report)
        written = page.write(results, stage.python) if write else None
    if json_:
        say.document(results.model_dump(mode="json"))
        return
    _show(results)
    kept = f"they are kept in {written}" if written else f"{told} --write keeps them"
    say.following(f"{kept}; docs/benchmarks.md says how they are measured")


def _told(name: str, rows: str | None, within: str | None, rounds: int, seconds: float) -> str:
    """The command that measures the same again."""
    parts = [f".venv/bin/yard bench {name}"]
    parts += [f"--rows {rows}"] if rows else []
    parts += [f"--in {within}"] if within else []
    return " ".join([*parts, f"--rounds {rounds}", f"--seconds {seconds:g}"])


def _show(results: Results) -> None:
    console = Console(width=WIDTH)
    for lines in (page.table(results), page.aims(results)):
        table = Table(*lines[0])
        for line in lines[1:]:
            table.add_row(*line)
        if table.row_count:
            console.print(table)


def _costs(costs: list[Cost]) -> None:
    say.line(f"{'own':>7} {'whole':>7}  function (shares of the samples of the worker's loop)")
    for cost in costs[:LISTED]:
        say.line(f"{cost.own:7.1%} {cost.whole:7.1%}  {cost.function}")
