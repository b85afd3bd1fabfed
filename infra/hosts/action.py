"""What Ansible's action plugins share: a refusal becomes the result of their task."""

import functools
from collections.abc import Callable
from typing import Any

from infra.refusal import Refusal

Result = dict[str, Any]
Run = Callable[[Any, Any, Any], Result]


def refusing(run: Run) -> Run:
    """A plugin's ``run`` whose refusal fails the task with its four parts.

    A function, not a class above Ansible's own: infra does not import Ansible.
    """

    @functools.wraps(run)
    def refused(plugin: Any, tmp: Any = None, task_vars: Any = None) -> Result:
        try:
            return run(plugin, tmp, task_vars)
        except Refusal as error:
            return {"failed": True, "msg": str(error), "refusal": error.parts}

    return refused
