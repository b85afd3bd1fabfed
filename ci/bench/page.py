"""A benchmark as a person reads it: tables on a terminal, a page and a plot in docs/benchmarks."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ci.bench.results import Figure, Results, Verdict, spread
from ci.bench.rows import GATEWAY, ROWS
from infra import places

FOLDER = places.REPOSITORY / "docs" / "benchmarks"
TITLES = {
    row.name: f"{row.title}, {row.precision}" if row.precision else row.title
    for row in (*ROWS, GATEWAY)
}
HEAD = [
    "row",
    "what answers",
    "requests/s at 1",
    "at 8",
    "at 32",
    "ms p50 / p99 at 50 %",
    "at 80 %",
    "CPU ms at 1 / 8 / 32",
    "client",
    "failed",
]


def write(results: Results, python: Path) -> Path:
    """Keep a benchmark in docs/benchmarks: its figures, the page and the plot of them."""
    name = f"{results.model}-gateway" if GATEWAY.name in results.rounds[0] else results.model
    FOLDER.mkdir(exist_ok=True)
    figures = FOLDER / f"{name}.json"
    figures.write_text(results.model_dump_json(indent=1) + "\n")
    page = figures.with_suffix(".md")
    page.write_text(markdown(results, name))
    command = [str(python), "-m", "ci.bench.plot", str(figures), str(figures.with_suffix(".svg"))]
    variables = {"PATH": os.defpath, "PYTHONPATH": str(places.REPOSITORY)}
    subprocess.run(command, env=variables, check=True)
    return page


def markdown(results: Results, name: str) -> str:
    """The page; nothing in it that is not in the figures."""
    where = results.machine
    lines = [
        f"# Benchmark of {name}",
        "",
        f"Written by `{results.command} --write`; [how it is measured](../benchmarks.md).",
        f"{results.model} {results.version}; {len(results.rounds)} rounds, {results.seconds:g} s"
        f" each loop; {where.cores} cores, {where.processor}, Linux {where.kernel}.",
        "The middle of all rounds, lowest and highest in brackets.",
        "",
        f"![requests a second and CPU time of each row]({name}.svg)",
        "",
        *_table(table(results)),
        "",
    ]
    if results.verdicts:
        lines += ["## Aims", "", *_table(aims(results)), ""]
    return "\n".join(lines)


def table(results: Results) -> list[list[str]]:
    """The head, and a line for each row."""
    return [HEAD, *(_line(results, name) for name in _names(results))]


def aims(results: Results) -> list[list[str]]:
    """The head, and a line for each aim."""
    return [["aim", "bound", "figure", "verdict"], *(_verdict(one) for one in results.verdicts)]


def _names(results: Results) -> list[str]:
    known = results.rounds[0]
    return [row.name for row in (*ROWS, GATEWAY) if row.name in known]


def _line(results: Results, name: str) -> list[str]:
    measured = [one[name] for one in results.rounds]
    closed = {n: [one.closed[n] for one in measured] for n in measured[0].closed}
    opened = {share: [one.open[share] for one in measured] for share in measured[0].open}
    runs = [*closed.values(), *opened.values()]
    return [
        name,
        TITLES[name],
        *(_rate(closed.get(n, [])) for n in (1, 8, 32)),
        *(_latency(opened.get(share, [])) for share in (50, 80)),
        " / ".join(f"{_middle(one.cpu_ms for one in figures):.3f}" for figures in closed.values()),
        f"{max(one.client for figures in runs for one in figures):.0%}",
        str(sum(one.failed for figures in runs for one in figures)),
    ]


def _rate(figures: list[Figure]) -> str:
    if not figures:
        return ""
    found = spread([one.rps for one in figures])
    return f"{found.middle:.0f} ({found.lowest:.0f}-{found.highest:.0f})"


def _latency(figures: list[Figure]) -> str:
    if not figures:
        return ""
    middles = _middle(one.p50_ms for one in figures), _middle(one.p99_ms for one in figures)
    return " / ".join(f"{middle:.2f}" for middle in middles)


def _middle(values: Iterable[float]) -> float:
    return spread(list(values)).middle


def _verdict(one: Verdict) -> list[str]:
    figure = f"{one.figure:.3g} ({one.lowest:.3g}-{one.highest:.3g})"
    return [one.aim, f"{one.sense} {one.bound:g}", figure, "met" if one.met else "missed"]


def _table(lines: list[list[str]]) -> list[str]:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return [rows[0], "|" + " --- |" * len(lines[0]), *rows[1:]]
