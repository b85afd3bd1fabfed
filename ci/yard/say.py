"""How yard speaks: results to stdout, progress and errors to stderr, nothing by colour alone."""

import json
import sys
import time
import traceback
from pathlib import Path

from infra import places
from infra.refusal import Refusal

DONE, FAILED, REFUSED = 0, 1, 2


def line(text: str = "") -> None:
    """Say one line of a result."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Say one line of what went wrong."""
    print(text, file=sys.stderr, flush=True)


def following(text: str) -> None:
    """Say what to do next, the last line of a command that went well."""
    line(f"next: {text}")


def document(value: object) -> None:
    """Print a result that a machine may read."""
    print(json.dumps(value, indent=2))


def refused(refusal: Refusal) -> None:
    """Print a refusal: key, value, rule and remedy, each on a line of its own."""
    complain("refused")
    complain(f"  key:    {refusal.where}")
    complain(f"  value:  {refusal.value}")
    complain(f"  rule:   {refusal.rule}")
    complain(f"  remedy: {refusal.remedy}")


def failed(error: BaseException) -> None:
    """Print what failed; the trace, of use to a developer only, goes to a file."""
    complain(f"failed: {str(error) or type(error).__name__}")
    trace = _keep("".join(traceback.format_exception(error)))
    complain(f"  the trace is in {trace}")


def _keep(text: str) -> Path:
    folder = places.cache() / "failures"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
    path.write_text(text)
    return path
