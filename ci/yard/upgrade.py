"""`yard upgrade ENV`."""

from typing import Annotated

import typer

from ci.pipeline import upgrade
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress, span
from infra import environment, places


def command(
    env: arguments.Environment,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say which node changes when, and change none.")
    ] = False,
) -> None:
    """Bring a cluster of hosts to the version of Kubernetes that its file names, node by node."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"upgrade-{env}.json")
        changed = upgrade.run(loaded, steps, preview=preview)
    if preview:
        say.following(f".venv/bin/yard upgrade {env}")
        return
    total = span(sum(steps.seconds.values()))
    say.line(f"{env} is upgraded after {total}; {', '.join(changed) or 'no node'} changed.")
    say.following(f".venv/bin/yard validate {env}")
