"""Writes docs/reference/cli.md: `.venv/bin/python -m ci.yard.reference > docs/reference/cli.md`."""

from typing import Any

import typer

from ci.yard.main import app

HEAD = """\
# Commands

Generated from the command line itself; a test keeps it current. Exit codes: 0 done, 1 failed,
2 refused for its input. Results go to stdout, progress and errors to stderr.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections(typer.main.get_command(app), "yard")]).rstrip() + "\n"


def names(application: typer.Typer) -> list[str]:
    """Names of the commands and command groups."""
    return list(_below(typer.main.get_command(application)))


def _below(command: Any) -> dict[str, Any]:
    # A group has commands; Typer's own click is private, so there is no class to ask for.
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def _sections(command: Any, path: str) -> list[str]:
    if below := _below(command):
        return [line for name, one in below.items() for line in _sections(one, f"{path} {name}")]
    context = typer.Context(command, info_name=path)
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = [f"## {path}", "", f"`{' '.join(usage.split())}`", "", command.help or "", ""]
    options = [_option(option, context) for option in command.params if option.name != "help"]
    return [*lines, *options, ""] if options else lines


def _option(option: Any, context: typer.Context) -> str:
    name, text = option.get_help_record(context)
    return f"- `{name}`: {' '.join(text.split())}"


if __name__ == "__main__":
    print(page(), end="")
