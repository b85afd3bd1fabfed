"""What a model's figures should be, and whether they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ci.bench.results import CONCURRENCIES, Measured, Round, Verdict, spread


@dataclass(frozen=True, kw_only=True)
class Aim:
    """``figure`` is computed within one round: its rows were measured beside each other."""

    text: str
    rows: tuple[str, ...]
    sense: Literal["at least", "at most", "below"]
    bound: float
    figure: Callable[[Round], float]

    def judge(self, rounds: list[Round]) -> Verdict | None:
        """Compare the middle of all rounds with the bound; None where its rows were left out."""
        if any(row not in one for row in self.rows for one in rounds):
            return None
        found = spread([self.figure(one) for one in rounds])
        met = {
            "at least": found.middle >= self.bound,
            "at most": found.middle <= self.bound,
            "below": found.middle < self.bound,
        }
        return Verdict(
            aim=self.text,
            sense=self.sense,
            bound=self.bound,
            figure=found.middle,
            lowest=found.lowest,
            highest=found.highest,
            met=met[self.sense],
        )


def ratio(row: str, other: str, concurrency: int, bound: float, *, of: int = 0) -> Aim:
    """A row's rate by another's, at one concurrency; ``of`` is the other's, where it differs."""
    return Aim(
        text=f"{row} by {other}, requests a second at {concurrency}",
        rows=(row, other),
        sense="at least",
        bound=bound,
        figure=lambda one: (
            one[row].closed[concurrency].rps / one[other].closed[of or concurrency].rps
        ),
    )


def _cpu(measured: Measured) -> float:
    return max(measured.closed[count].cpu_ms for count in CONCURRENCIES)


def _failed(measured: Measured) -> float:
    return float(sum(one.failed for one in [*measured.closed.values(), *measured.open.values()]))


HOT = "hot-int8"
AIMS: dict[str, list[Aim]] = {
    "digits": [
        ratio(HOT, "fastapi-int8", 8, 0.9),
        ratio(HOT, "fastapi-int8", 32, 0.9),
        Aim(
            text=f"{HOT}, CPU milliseconds of a request, at the concurrency where it is most",
            rows=(HOT,),
            sense="at most",
            bound=0.35,
            figure=lambda one: _cpu(one[HOT]),
        ),
        Aim(
            text=f"{HOT}, p99 by p50 at concurrency 1",
            rows=(HOT,),
            sense="below",
            bound=3,
            figure=lambda one: one[HOT].closed[1].p99_ms / one[HOT].closed[1].p50_ms,
        ),
        Aim(
            text=f"{HOT}, requests that were not answered, of all loops",
            rows=(HOT,),
            sense="at most",
            bound=0,
            figure=lambda one: _failed(one[HOT]),
        ),
    ],
    "embed": [
        ratio(HOT, "loop-int8", 8, 0.85, of=1),
        ratio(HOT, "fastapi-fp32", 8, 1.8),
    ],
}
"""By model. Those of `embed` are where the model is the cost, those of `digits` where it is not."""


def judge(model: str, rounds: list[Round]) -> list[Verdict]:
    """Every aim of a model whose rows were measured."""
    verdicts = (aim.judge(rounds) for aim in AIMS.get(model, []))
    return [verdict for verdict in verdicts if verdict]
