"""`yard ship NAME --to ENV`."""

from typing import Annotated

import typer

from ci.pipeline import ship
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places
from infra.refusal import Refusal


def command(
    name: arguments.Model,
    to: Annotated[str, typer.Option(metavar="ENV", help="Environment to ship to.")],
    version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="Version to bake in; else the one in bentos/NAME.yaml."
        ),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            metavar="WEIGHT", help="Percent of requests, 1 to 99, that the new version gets first."
        ),
    ] = None,
) -> None:
    """Train, quantize, gate, pack and push a model, then release it by digest."""
    if canary is not None and not 1 <= canary <= 99:
        raise Refusal(
            "--canary",
            canary,
            "it is a share of the requests from 1 to 99 percent",
            "Take a share in between, or leave the option out to release to all requests.",
        )
    loaded = environment.load(to)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"ship-{to}-{name}.json")
        shipped = ship.run(loaded, name, version=version, canary=canary, steps=steps)
    released = shipped.release
    say.line(f"{released.name} {released.version} is released to {to} as {released.digest}.")
    if released.weight is not None:
        say.line(f"It gets {released.weight} % of the requests until somebody decides.")
        say.following(
            f".venv/bin/yard promote {name} --in {to}, or .venv/bin/yard abort {name} --in {to}"
        )
        return
    say.following(f".venv/bin/yard predict {name} --in {to}")
