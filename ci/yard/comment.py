"""`yard comment FILE`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ci.pipeline import comment
from ci.yard import say

Text = Annotated[
    Path, typer.Argument(metavar="FILE", help="What `yard preview --format markdown` printed.")
]


def command(file: Text) -> None:
    """Put a preview on the change of this workflow, at GitHub or GitLab: one comment each."""
    say.line(comment.place(os.environ).put(file.read_text()))
