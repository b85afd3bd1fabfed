"""Encrypts what a control plane has packed, and keeps it here with the rest of a backup."""

import base64
import datetime as dt
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible.plugins.action import ActionBase
from infra import environment
from infra.backup import images, make, manifest, shelf
from infra.hosts.action import refusing
from infra.refusal import check


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``archive``, a path on the host, and what infra.backup.make asks for.

    Gives ``folder``, that of the new backup. The archive is held in memory, never on a disk here.
    """

    _supports_check_mode = True

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Read the archive from the host, and make the backup."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.check_mode:
            return result | {"changed": True, "folder": self._task.args["folder"]}
        read = self._execute_module(
            module_name="ansible.builtin.slurp",
            module_args={"src": self._task.args["archive"]},
            task_vars=task_vars,
        )
        if read.get("failed"):
            return result | read
        try:
            folder = self._make(base64.b64decode(read["content"]), task_vars)
        except images.RegistryError as error:
            return result | {"failed": True, "msg": str(error)}
        return result | {"changed": True, "folder": str(folder)}

    def _make(self, archive: bytes, variables: Any) -> Path:
        given = self._task.args
        moment = dt.datetime.strptime(given["moment"], shelf.STAMP).replace(tzinfo=dt.UTC)
        keep = {name: int(value) for name, value in given["keep"].items()}
        return make.make(
            environment.load(variables["modelyard_environment"]["name"]),
            Path(given["folder"]),
            make.Taken(
                archive=archive,
                moment=moment,
                control_plane=given["control_plane"],
                revision=int(given["revision"]),
                versions=manifest.Versions(**given["versions"]),
            ),
            key=Path(given["key"]),
            to=given["recipients"],
            keep=check(keep, shelf.Keep, where="backup_keep"),
            registry=boolean(given["registry"]),
        )
