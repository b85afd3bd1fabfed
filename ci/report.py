"""How long work tells what it does: one callable, so that steps know nothing of terminals."""

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Told (what happens now, units done, units in all); (text, 0, 0) when the total is not known."""

STAYS = -1
"""In the place of the total: a line of its own, which is still there when the work is done."""


def remark(report: Report, text: str) -> None:
    """Say what a person must be able to read afterwards: what a build needs, a warning."""
    report(text, 0, STAYS)


def silent(text: str, done: int, total: int) -> None:
    """Say nothing."""
