"""`yard abort NAME --in ENV`."""

from typing import Annotated

import typer

from ci.pipeline import ship
from ci.yard import arguments, say
from infra import environment


def command(
    name: arguments.Model,
    within: Annotated[str, typer.Option("--in", help="Environment of the canary.")],
) -> None:
    """End the canary: the version before it gets all requests again."""
    released = ship.abort(environment.load(within), name)
    say.line(f"{name} {released.version} gets all requests in {within} again.")
    say.following(f".venv/bin/yard status {within}")
