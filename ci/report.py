"""How long work tells what it does: one callable, so that steps know nothing of terminals."""

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Told (what happens now, units done, units in all); (text, 0, 0) when the total is not known."""


def silent(text: str, done: int, total: int) -> None:
    """Say nothing."""
