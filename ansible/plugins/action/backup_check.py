"""Reads a backup and refuses one that is not whole; it connects to no host and changes nothing."""

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from infra import environment
from infra.backup import manifest, restore
from infra.hosts.action import refusing


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``folder``; with ``key`` and ``versions`` also whether it can be restored here.

    Without them it hands ``folder`` to the program that runs the playbook.
    """

    _requires_connection = False
    _supports_check_mode = True

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Compare every digest, or those of cluster and state alone where nothing is restored."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given, folder = self._task.args, Path(self._task.args["folder"])
        told = {}
        if "key" in given:
            env = environment.load(task_vars["modelyard_environment"]["name"])
            versions = manifest.Versions(**given["versions"])
            found = restore.checked(env, folder, Path(given["key"]), versions)
        else:
            found = manifest.read(folder)
            # The registry's blobs were compared when they were read, or with an earlier backup.
            manifest.require_whole(folder, found, [manifest.CLUSTER, manifest.STATE])
            told = {"document": {"folder": str(folder)}}
        images = f"{len(found.images)} images" if found.registry else "no registry"
        said = f"{folder}: {found.environment} of {found.made}, revision {found.revision}, {images}"
        return result | {"changed": False, "msg": said, **told}
