"""How shipping and previewing grow with the number of services: `python -m tests.growth.measure`.

Each figure is the median of some rounds of the same process, so that the two numbers of services
are measured on the same machine in the same state. docs/growth.md has the method and the figures.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from ci.pipeline import models, rollouts, ship, stacks
from ci.report import silent
from infra import places
from infra.environment import Environment
from infra.models import release
from infra.models.release import Release, Replicas, Resources
from tests.growth import ground
from tests.infra.models import samples

SIZES = (3, 300)
SHIP_AIM = 1.2
"""A ship of one of many against a ship of one of few."""

PREVIEW_AIM_S = 20.0

Figures = dict[str, float]
"""Seconds by what was done."""


def service(index: int, number: int) -> Release:
    """Release ``number`` of a small service."""
    return samples.release(
        f"{ground.PREFIX}{index:03}",
        version=f"1.0.{number}",
        digest=f"sha256:{number:064x}",
        resources=Resources(cpu="10m", memory="16Mi"),
        replicas=Replicas(min=1, max=1),
    )


class Measurement:
    """One environment, filled step by step."""

    def __init__(self, env: Environment, rounds: int, real: str | None) -> None:
        self.env, self.rounds, self.real = env, rounds, real
        self._numbers = itertools.count(1)
        self._there = 0

    def at(self, size: int) -> Figures:
        """Seconds of everything with so many services; says on stderr what it is at."""
        doings: dict[str, Callable[[], float]] = {
            f"first up of {size - self._there}": lambda: _seconds(lambda: self._fill(size)),
            "ship one": lambda: self._median(self._ship),
            "ship one: Pulumi": lambda: self._median(self._pulumi),
            "preview, no change": lambda: self._median(lambda: models.preview(self.env, silent)),
            "preview, one change": lambda: self._median(self._preview),
            "up, no change": lambda: self._median(self._up),
            "status": lambda: self._median(lambda: rollouts.status(self.env)),
            "preview by plain pulumi": lambda: _seconds(self._plain),
        }
        if self.real:
            doings[f"yard ship {self.real}"] = lambda: self._median(self._ship_real)
        figures: Figures = {}
        for what, measured in doings.items():
            print(f"{size} services: {what}", file=sys.stderr, flush=True)
            figures[what] = measured()
        return figures

    def _fill(self, size: int) -> None:
        for index in range(self._there, size):
            release.write(self.env, service(index, 0))
        models.up(self.env, silent)
        names = [one.name for one in release.releases(self.env)]
        rollouts.wait_for_all(self.env, dict.fromkeys(names), silent)
        self._there = size

    def _ship(self) -> None:
        ship.roll_out(self.env, service(1, next(self._numbers)), silent)

    def _pulumi(self) -> None:
        new = service(1, next(self._numbers))
        release.write(self.env, new)
        changes = models.up(self.env, silent, only=[new.name])
        assert changes.update == 1, changes

    def _preview(self) -> None:
        before = release.read(self.env, service(1, 0).name)
        assert before is not None
        release.write(self.env, service(1, next(self._numbers)))
        changes = models.preview(self.env, silent)
        release.write(self.env, before)
        assert changes.update == 1, changes

    def _up(self) -> None:
        changes = models.up(self.env, silent)
        assert changes.none, changes
        names = [one.name for one in release.releases(self.env)]
        rollouts.wait_for_all(self.env, dict.fromkeys(names), silent)

    def _plain(self) -> None:
        changes = stacks.Stack(self.env, "models").preview(silent)
        assert changes.none, changes

    def _ship_real(self) -> None:
        version = f"9.0.{next(self._numbers)}"
        yard = [str(places.REPOSITORY / ".venv/bin/yard"), "ship", str(self.real)]
        done = subprocess.run(
            [*yard, "--to", self.env.name, "--version", version],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def _median(self, act: Callable[[], object]) -> float:
        return statistics.median(_seconds(act) for _ in range(self.rounds))


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def table(found: dict[int, Figures]) -> Iterator[str]:
    """The figures side by side, with what the last has more than the first."""
    few, many = min(found), max(found)
    yield f"{'seconds':28}{few:>9} services{many:>9} services    ratio"
    for what, seconds in found[many].items():
        if what not in found[few]:
            yield f"{what:28}{'':18}{seconds:18.2f}"
            continue
        ratio = seconds / found[few][what]
        yield f"{what:28}{found[few][what]:18.2f}{seconds:18.2f}{ratio:9.2f}"
    shipped = found[many]["ship one"] / found[few]["ship one"]
    yield f"ship: {shipped:.2f} times, at most {SHIP_AIM} is the aim"
    preview = max(found[many][what] for what in ("preview, no change", "preview, one change"))
    yield f"preview: {preview:.1f} s, at most {PREVIEW_AIM_S:.0f} s is the aim"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs=2, default=SIZES, metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in", dest="env", help="an environment that is up; else a bare cluster")
    parser.add_argument("--ship", help="a model to ship by `yard ship`, with --in")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ground.of(options.env) if options.env else ground.own() as env:
        measurement = Measurement(env, options.rounds, options.ship)
        found = {size: measurement.at(size) for size in sorted(options.sizes)}
    print(json.dumps(found) if options.json else "\n".join(table(found)))


if __name__ == "__main__":
    main()
