"""`yard abort NAME --in ENV`."""

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
    """End the canary: the version before it gets all requests again."""
    with Progress() as progress, Steps(progress).step(f"abort {name}") as report:
        released = ship.abort(environment.load(within), name, report)
    say.line(f"{name} {released.version} gets all requests in {within} again.")
    say.following(f".venv/bin/yard status {within}")
