"""Runs the module host_report, and tells how far the host's clock is from this machine's."""

import time
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import clock, validation


class ActionModule(ActionBase):  # type: ignore[misc]
    """Adds ``clock_off``: seconds that the host's clock is outside of the time that the call took.

    ``listed``: running pods, a line each, of which the host asks one on each other node.
    """

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Bracket the module's call between two looks at this machine's clock."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = dict(self._task.args)
        given["pods"] = validation.peers(given.pop("listed", ""), task_vars["inventory_hostname"])
        before = time.time()
        result |= self._execute_module(module_args=given, task_vars=task_vars)
        after = time.time()
        if "report" in result:
            there = result["report"]["time"]
            result["report"]["clock_off"] = clock.off(before, there, after)
        return result
