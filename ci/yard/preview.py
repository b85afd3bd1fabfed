"""`yard preview ENV`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ci.pipeline import markdown, offline, preview
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places
from infra.refusal import Refusal


class Format(StrEnum):
    """How a preview is told."""

    TEXT = "text"
    MARKDOWN = "markdown"


Told = Annotated[
    Format,
    typer.Option("--format", help="Text for a terminal, or Markdown for a comment on a change."),
]
Full = Annotated[
    Path | None,
    typer.Option(
        "--full", metavar="FILE", help="Also write the whole Markdown, which no comment's end cuts."
    ),
]

Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Ask no account, cluster or state: show what the programs ask for."
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="COMMIT", help="With --offline: show the difference to this commit."
    ),
]


def command(
    env: arguments.Environment,
    json_: arguments.Json = False,
    format_: Told = Format.TEXT,
    full: Full = None,
    without: Offline = False,
    against: Against = None,
) -> None:
    """Show what `up` would change on the cluster, without changing anything."""
    if against and not without:
        raise Refusal("--against", against, "it is of offline previews", "Add --offline.")
    loaded = environment.load(env)
    with Progress() as progress:
        kind = "offline" if without else "preview"
        steps = Steps(progress, places.cache() / "timings" / f"{kind}-{env}.json")
        found = offline.run(loaded, steps, against) if without else preview.run(loaded, steps)
    if full:
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(markdown.full(found))
    if json_:
        say.document(found.document())
    elif format_ is Format.MARKDOWN:
        print(markdown.comment(found, f"{'offline' if without else 'live'}-{env}"))
    else:
        _tell(found)
    for text in found.refused.values():
        say.complain(text)
    if found.refused:
        raise typer.Exit(say.FAILED)


def _tell(found: preview.Preview) -> None:
    if found.offline:
        print(f"OFFLINE. {found.offline}")
    for project, changes in found.projects.items():
        for step in changes.steps:
            remark = "  (change; may replace)" if step.uncertain else ""
            print(f"{step.op:8} {project:8} {step.urn}{remark}")
            for path in step.paths:
                print(f"                  {path}")
    print(", ".join(f"{number} {kind}" for kind, number in found.counts().items()))
    if not found.refused and not found.offline:
        env = found.environment
        say.following(f".venv/bin/yard up {env}" if found.changes else "nothing to do")
