"""A command that changes something: a rehearsal names it as a change, and does not run it.

Ansible's own command is skipped by a rehearsal, which then says nothing of what comes.
"""

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes what ansible.builtin.command takes; without ``argv`` it only names, in a rehearsal."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run it, or say that it would run."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return result | {"changed": True, "msg": "a command that has to run"}
        told: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.command", module_args=self._task.args, task_vars=task_vars
        )
        return result | told | {"changed": True}
