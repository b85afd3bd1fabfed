"""`yard env ENV`."""

import shlex

from ci.pipeline import playbook, stacks
from ci.yard import arguments
from infra import environment


def command(env: arguments.Environment) -> None:
    """Print what plain `pulumi` and `kubectl` need, for `eval "$(.venv/bin/yard env ENV)"`."""
    variables = stacks.engine_environment(environment.load(env)) | playbook.environment()
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
