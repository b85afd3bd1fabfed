"""`yard toolchain pin`."""

import typer

from ci.pipeline.steps import Steps
from ci.toolchain import vendor
from ci.yard import say
from ci.yard.progress import Progress

app = typer.Typer(help="Work on the pinned tools.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Work on the pinned tools."""


@app.command("pin")
def pin() -> None:
    """Look up files and images without a digest in ci/toolchain/vendor.toml, and write it there."""
    with Progress() as progress, Steps(progress).step("pin") as report:
        pinned = vendor.pin(report=report)
    for url in pinned:
        say.line(f"pinned {url}")
    say.following("compare the digests with those that the vendors publish, then commit them")
