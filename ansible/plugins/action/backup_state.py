"""Puts back what this machine keeps of an environment, as a backup has it."""

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from infra import environment
from infra.backup import restore
from infra.hosts.action import refusing


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``folder`` and ``key``. It connects to no host."""

    _requires_connection = False
    _supports_check_mode = True

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Replace files and folders of the state folder."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return result | {"changed": True}
        given = self._task.args
        env = environment.load(task_vars["modelyard_environment"]["name"])
        back = restore.state_of_this_machine(env, Path(given["folder"]), Path(given["key"]))
        return result | {"changed": True, "restored": back}
