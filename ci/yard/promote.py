"""`yard promote NAME --in ENV`."""

from typing import Annotated

import typer

from ci.pipeline import ship
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment


def command(
    name: arguments.Model,
    within: Annotated[str, typer.Option("--in", metavar="ENV", help="Environment of the canary.")],
) -> None:
    """Give the canary all requests: the new version becomes the one that serves."""
    with Progress() as progress, Steps(progress).step(f"promote {name}") as report:
        released = ship.promote(environment.load(within), name, report)
    say.line(f"{name} {released.version} gets all requests in {within}.")
    say.following(f".venv/bin/yard status {within}")
