"""`yard env ENV`."""

import shlex

from ci.pipeline import stacks
from ci.yard import arguments
from infra import environment


def command(env: arguments.Environment) -> None:
    """Print what plain `pulumi` and `kubectl` need, for `eval "$(.venv/bin/yard env ENV)"`."""
    for name, value in stacks.engine_environment(environment.load(env)).items():
        print(f"export {name}={shlex.quote(value)}")
