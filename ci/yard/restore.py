"""`yard restore ENV --from FOLDER`."""

from pathlib import Path
from typing import Annotated

import typer

from ci.pipeline import backups
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress, span
from infra import environment, places


def command(
    env: arguments.Environment,
    source: Annotated[Path, typer.Option("--from", metavar="FOLDER", help="Folder of one backup.")],
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Private key that opens it, where it is not at its place."
        ),
    ] = None,
    protected: Annotated[
        bool, typer.Option("--protected", help="Also where the environment is protected.")
    ] = False,
) -> None:
    """Begin the cluster anew with what a backup holds. What is left of the cluster goes."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"restore-{env}.json")
        found = backups.restore(loaded, source, steps, opened_by=key, confirmed=protected)
    total = span(sum(steps.seconds.values()))
    say.line(f"{env} is as it was at {found.made}, restored in {total}.")
    say.following(f".venv/bin/yard up {env} compares it with what its files say")
