"""`yard doctor`."""

from dataclasses import asdict
from typing import Annotated

import typer

from ci.toolchain import doctor, resources, supply
from ci.yard import arguments, say
from infra import environment

Environment = Annotated[
    str, typer.Argument(metavar="ENV", help="Environment that the tools are for.")
]


def command(env: Environment = "local", json_: arguments.Json = False) -> None:
    """List every tool: its version, where it came from, what is missing, and the remedy."""
    loaded = environment.load(env)
    found = doctor.inspect(loaded)
    need, free = doctor.needed(loaded), resources.read()
    if json_:
        say.document(
            {
                "environment": env,
                "supply": supply.resolve(loaded),
                "ok": all(one.state == "ok" for one in found),
                "needed": asdict(need),
                "free": asdict(free),
                "findings": [asdict(one) for one in found],
            }
        )
        return
    for one in found:
        print(f"{one.state:8} {one.name:36} {one.version:24} {one.source}".rstrip())
        if one.remedy:
            print(f"         remedy: {one.remedy}")
    print(f"needed: {need.words(free)}")
    lacking = [one.name for one in found if one.state != "ok"]
    if lacking:
        print(f"{len(lacking)} of {len(found)} are missing or damaged; `yard up` makes the tools.")
        say.following(f".venv/bin/yard up {env}")
    else:
        say.following(f"nothing is missing; .venv/bin/yard status {env}")
