"""`yard down ENV`."""

from ci.pipeline import down
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places


def command(env: arguments.Environment) -> None:
    """Take an environment away: containers, volumes, networks and state. Keeps the tools' cache."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"down-{env}.json")
        down.run(loaded, steps)
    say.line(f"{env} is gone. Built tools stay in {places.cache()}.")
    say.following(f".venv/bin/yard up {env} brings it back")
