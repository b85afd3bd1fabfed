"""A unit of systemd that a role brings: a rehearsal names it also before its file is there.

With ``files`` it is also as new as they are, whatever became of the run that wrote them: a handler
that a killed run was to call is called by no later one.
"""

from typing import Any

from ansible.plugins.action import ActionBase

ABSENT = "Could not find the requested service"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes what ansible.builtin.systemd_service takes, which fails where the unit is unknown.

    ``files`` are paths on the host. A unit that is to be ``started`` and runs since before one of
    them was written is restarted. With ``restarted`` or ``reloaded`` nothing else happens: a unit
    that does not run stays as it is. None of that is a change: whoever wrote the file reported it.
    """

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Bring the unit into its state."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = dict(self._task.args)
        files, state = given.pop("files", []), given.get("state")
        told: dict[str, Any] = {"changed": False}
        if not files or state in ("started", None):
            told = self._systemd(given, task_vars)
            if self._task.check_mode and told.get("failed") and ABSENT in str(told.get("msg")):
                return result | {"changed": True, "msg": "a unit that has to be made first"}
        if files and state and not told.get("failed") and not self._task.check_mode:
            way = "reloaded" if state == "reloaded" else "restarted"
            told |= self._read(given | {"state": way}, files, task_vars)
        return result | told

    def _read(self, given: dict[str, Any], files: list[str], variables: Any) -> dict[str, Any]:
        """Have a unit that runs read what was written since; what it had not read, or a failure."""
        reloads = given["state"] == "reloaded"
        asked: dict[str, Any] = self._execute_module(
            module_name="unit_age",
            module_args={"name": given["name"], "files": files, "reloads": reloads},
            task_vars=variables,
        )
        applied = self._systemd(given, variables) if asked.get("unread") else asked
        return applied if applied.get("failed") else {"unread": asked["unread"]}

    def _systemd(self, given: dict[str, Any], variables: Any) -> dict[str, Any]:
        told: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.systemd_service", module_args=given, task_vars=variables
        )
        return told
