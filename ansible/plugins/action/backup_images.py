"""Pushes to the environment's registry what a backup has and the registry has not."""

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from infra import environment
from infra.backup import images, restore
from infra.hosts.action import refusing


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``folder`` and ``key``. It connects to no host, but to the registry."""

    _requires_connection = False

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Compare image by image, and push."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        env = environment.load(task_vars["modelyard_environment"]["name"])
        try:
            pushed = restore.registry(env, Path(given["folder"]), Path(given["key"]))
        except images.RegistryError as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {"changed": bool(pushed), "pushed": pushed}
