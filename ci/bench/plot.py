"""Draw a benchmark, in its environment: `python -m ci.bench.plot FIGURES.json PICTURE.svg`."""

import sys
from pathlib import Path
from typing import Any

import matplotlib  # type: ignore[import-not-found] # it is in the bench environment only
from matplotlib.figure import Figure  # type: ignore[import-not-found]
from matplotlib.ticker import NullFormatter  # type: ignore[import-not-found]

from ci.bench.results import CONCURRENCIES, Results, spread

COLOURS = ("#9ecae1", "#4292c6", "#084594")
BAR = 0.26


def draw(results: Results, target: Path) -> None:
    """Requests a second, and CPU milliseconds of a request, of each row at each concurrency."""
    matplotlib.rcParams.update({"svg.hashsalt": "modelyard", "svg.fonttype": "none"})
    names = list(results.rounds[0])
    figure = Figure(figsize=(10, 1.2 + 0.55 * len(names)), layout="constrained")
    rates, costs = figure.subplots(1, 2, sharey=True)
    for at, count in enumerate(CONCURRENCIES):
        _bars(rates, results, names, count, at, "rps")
        _bars(costs, results, names, count, at, "cpu_ms")
    rates.set_yticks(range(len(names)), names)
    rates.invert_yaxis()
    rates.set_xscale("log")
    rates.xaxis.set_major_formatter("{x:.0f}")
    rates.xaxis.set_minor_formatter(NullFormatter())  # they overlap
    rates.set_xlabel("requests a second (logarithmic; lines: lowest to highest round)")
    costs.set_xlabel("CPU milliseconds of a request")
    costs.legend(title="concurrency", loc="best")
    figure.savefig(target, metadata={"Date": None})


def _bars(axes: Any, results: Results, names: list[str], count: int, at: int, field: str) -> None:
    for line, name in enumerate(names):
        figures = [one[name].closed.get(count) for one in results.rounds]
        values = [getattr(figure, field) for figure in figures if figure]
        if not values:
            continue
        found = spread(values)
        apart = [[found.middle - found.lowest], [found.highest - found.middle]]
        axes.barh(line + (at - 1) * BAR, found.middle, BAR, color=COLOURS[at], xerr=apart)
    axes.barh(0, 0, color=COLOURS[at], label=str(count))


if __name__ == "__main__":
    figures, picture = map(Path, sys.argv[1:])
    draw(Results.model_validate_json(figures.read_text()), picture)
