"""`yard preview ENV`."""

from ci.pipeline import preview
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places


def command(env: arguments.Environment, json_: arguments.Json = False) -> None:
    """Show what `up` would change on the cluster, without changing anything."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"preview-{env}.json")
        found = preview.run(loaded, steps)
    if json_:
        say.document(found.document())
        return
    for project, changes in found.projects.items():
        for step in changes.steps:
            print(f"{step.op:8} {project:8} {step.urn}")
            for path in step.paths:
                print(f"                  {path}")
    print(", ".join(f"{number} {kind}" for kind, number in found.counts().items()))
    say.following(f".venv/bin/yard up {env}" if found.changes else "nothing to do")
