"""A unit of systemd that a role brings: a rehearsal names it also before its file is there."""

from typing import Any

from ansible.plugins.action import ActionBase

ABSENT = "Could not find the requested service"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes what ansible.builtin.systemd_service takes, which fails where the unit is unknown."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Bring the unit into its state."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        told: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.systemd_service",
            module_args=self._task.args,
            task_vars=task_vars,
        )
        if self._task.check_mode and told.get("failed") and ABSENT in str(told.get("msg")):
            return result | {"changed": True, "msg": "a unit that has to be made first"}
        return result | told
