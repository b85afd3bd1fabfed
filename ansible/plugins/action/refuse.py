"""Fails with host, key, value, rule and remedy, for a task with `when`; `yard` exits with 2."""

from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts.action import refusing
from infra.refusal import Refusal


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes key, value, rule and remedy. It connects to no host."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"key", "value", "rule", "remedy"})

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Always fail."""
        super().run(tmp, task_vars)
        given = {name: str(self._task.args[name]) for name in sorted(self._VALID_ARGS)}
        where = f"{task_vars['inventory_hostname']}: {given.pop('key')}"
        raise Refusal(where, **given)
