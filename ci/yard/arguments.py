"""Arguments that several commands take, described once."""

from typing import Annotated

import typer

Environment = Annotated[
    str, typer.Argument(metavar="ENV", help="Environment: the NAME of Pulumi.NAME.yaml.")
]
Model = Annotated[str, typer.Argument(metavar="NAME", help="Model: a folder of services/models.")]
Within = Annotated[
    str, typer.Option("--in", metavar="ENV", help="Environment that the model runs in.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
