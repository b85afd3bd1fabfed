"""`yard up ENV`."""

from typing import Annotated

import typer

from ci.pipeline import up
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress, span
from infra import environment, places


def command(
    env: arguments.Environment,
    timings: Annotated[
        bool, typer.Option("--timings", help="End with the seconds of each step.")
    ] = False,
) -> None:
    """Bring an environment up, or to what its files say: tools, cluster, platform, models."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"up-{env}.json")
        outcome = up.run(loaded, steps)
    if timings:
        for name, seconds in steps.seconds.items():
            say.line(f"{seconds:8.1f} s  {name}")
    total = span(sum(steps.seconds.values()))
    say.line(f"{env} is up after {total}; {', '.join(outcome.changed) or 'nothing'} changed.")
    for name, answer in outcome.answers.items():
        say.line(
            f"{name} {answer.version} answered in {answer.milliseconds:.0f} ms: {answer.digest}"
        )
    for text in outcome.unknown:
        say.line(f"not known: {text}.")
    if not outcome.answers:
        say.following(f".venv/bin/yard ship NAME --to {env}")
        return
    where = "" if env == "local" else f" --in {env}"
    say.following(f".venv/bin/yard predict {next(iter(outcome.answers))}{where}")
