"""`yard validate ENV`."""

from typing import Any

import typer

from ci.pipeline import hosts, playbook
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places
from infra.hosts import validation
from infra.hosts.findings import State


def command(
    env: arguments.Environment = "local",
    json_: arguments.Json = False,
) -> None:
    """Look at every host and change nothing; exit code 0 well, 1 degraded, 2 broken."""
    loaded = environment.load(env)
    rule = "only a cluster of hosts has hosts to look at"
    hosts.require(loaded, rule, f"Try: yard status {env}.")
    hosts.require_up(loaded, "only hosts that were brought up from this machine can be looked at")
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"validate-{env}.json")
        with steps.step("looking at the hosts") as report:
            found = playbook.run(loaded, "validate", report).document
    if found is None:
        raise playbook.PlaybookError(f"nobody judged: see {playbook.log_path(loaded, 'validate')}")
    _tell(found, json_)
    raise typer.Exit(State[found["state"].upper()].value)


def _tell(found: dict[str, Any], json_: bool) -> None:
    if json_:
        say.document(found)
        return
    for line in validation.table(found):
        say.line(line)
    if found["state"] != "well":
        say.following("what the remedies say, then this command again")
