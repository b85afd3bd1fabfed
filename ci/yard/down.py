"""`yard down ENV`."""

from typing import Annotated

import typer

from ci.pipeline import down
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places


def command(
    env: arguments.Environment,
    take: Annotated[
        bool, typer.Option("--take", help="Also when another checkout brought it up.")
    ] = False,
) -> None:
    """Take an environment away: containers, volumes, networks and state. Keeps the tools' cache."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"down-{env}.json")
        down.run(loaded, steps, take=take)
    say.line(f"{env} is gone. Built tools stay in {places.cache()}.")
    say.following(f".venv/bin/yard up {env} brings it back")
