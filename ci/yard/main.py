"""The command `yard`: orders the steps of ci.pipeline. Exit codes: 0 done, 1 failed, 2 refused."""

import sys
from collections.abc import Callable

import typer

from ci.yard import (
    abort,
    backup,
    bench,
    bootstrap,
    comment,
    doctor,
    down,
    env,
    logs,
    predict,
    preview,
    promote,
    restore,
    say,
    ship,
    status,
    toolchain,
    up,
    upgrade,
    validate,
)
from infra.refusal import Refusal

app = typer.Typer(
    name="yard",
    help="From training code to a served, quantized, monitored model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "up": up.command,
    "down": down.command,
    "upgrade": upgrade.command,
    "preview": preview.command,
    "comment": comment.command,
    "ship": ship.command,
    "promote": promote.command,
    "abort": abort.command,
    "predict": predict.command,
    "status": status.command,
    "validate": validate.command,
    "backup": backup.command,
    "restore": restore.command,
    "logs": logs.command,
    "doctor": doctor.command,
    "bootstrap": bootstrap.command,
    "env": env.command,
    "bench": bench.command,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(toolchain.app, name="toolchain")


def run() -> None:
    """Run the command line; turn what went wrong into a text and an exit code."""
    try:
        app()
    except Refusal as refusal:
        say.refused(refusal)
        sys.exit(say.REFUSED)
    except Exception as error:  # the last frame: every failure ends as text and 1
        say.failed(error)
        sys.exit(say.FAILED)
