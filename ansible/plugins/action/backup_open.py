"""Decrypts the control plane's part of a backup and sends it to a host."""

import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from infra.backup import restore
from infra.hosts.action import refusing


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``folder`` and ``key`` of this machine, and ``dest``, a path on the host (0600)."""

    _supports_check_mode = True

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Decrypt into memory's file system, copy, forget."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return result | {"changed": True}
        given = self._task.args
        with tempfile.NamedTemporaryFile(dir=restore.memory()) as opened:
            restore.open_cluster(Path(given["folder"]), Path(given["key"]), Path(opened.name))
            task = self._task.copy()
            task.args = {"src": opened.name, "dest": given["dest"], "mode": "0600"}
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            copied: dict[str, Any] = copy.run(task_vars=task_vars)
            return result | copied
