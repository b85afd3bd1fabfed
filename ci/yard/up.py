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
    timings: Annotated[bool, typer.Option(help="End with the seconds of each step.")] = False,
) -> None:
    """Bring an environment up, or to what its files say: tools, hosts, cluster, platform, model."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"up-{env}.json")
        outcome = up.run(loaded, steps)
    if timings:
        for name, seconds in steps.seconds.items():
            say.line(f"{seconds:8.1f} s  {name}")
    total = span(sum(steps.seconds.values()))
    if outcome.answer is None:
        say.line(f"{env} is up after {total}; it serves no model yet.")
        say.following(f"ship one: .venv/bin/yard ship NAME --to {env}")
        return
    say.line(
        f"{env} is up after {total}; {outcome.changes or 'nothing'} changed."
        f" {outcome.model} {outcome.answer.version} answered in"
        f" {outcome.answer.milliseconds:.0f} ms from {outcome.answer.digest}."
    )
    where = "" if env == "local" else f" --in {env}"
    say.following(f".venv/bin/yard predict {outcome.model}{where}")
