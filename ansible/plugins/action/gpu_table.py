"""Looks a host's GPUs up in ansible/gpu-drivers.yml: the driver's row, or a MIG profile's parts."""

from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import drivers
from infra.hosts.action import refusing
from infra.refusal import Refusal


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``driver`` (what drivers.Asked has) or ``mig`` (devices, profile); connects to no host.

    Yields ``row``, or ``parts``: how many of a profile one GPU yields. Fails with a refusal.
    """

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"driver", "mig"})

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Look it up."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        host = task_vars["inventory_hostname"]
        try:
            found = self._find()
        except Refusal as refused:
            where = f"{host}: {refused.where}"
            raise Refusal(where, refused.value, refused.rule, refused.remedy) from refused
        return result | {"changed": False} | found

    def _find(self) -> dict[str, Any]:
        table = drivers.load()
        if "mig" in self._task.args:
            asked = self._task.args["mig"]
            return {"parts": drivers.divided(table, asked["devices"], asked["profile"])}
        given = dict(self._task.args["driver"])
        wanted = drivers.Asked(**given | {"devices": tuple(given["devices"])})
        return {"row": drivers.choose(table, wanted).model_dump(mode="json")}
