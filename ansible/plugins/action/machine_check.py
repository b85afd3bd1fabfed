"""Refuses a machine that could not carry what a playbook brings, before it changes anything."""

import time
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import clock, known_good, machine
from infra.hosts.action import refusing
from infra.hosts.machine import Machine


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``disks``: paths whose file systems have to have room, and ``folders``, which have to
    be there. Fails with a refusal."""

    _supports_check_mode = True

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask the machine, and judge."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        before = time.time()
        told = self._execute_module(
            module_name="machine_facts", module_args=self._task.args, task_vars=task_vars
        )
        after = time.time()
        if "machine" not in told:
            return result | told
        found = dict(told["machine"])
        found["clock_off"] = clock.off(before, found.pop("time"), after)
        machine.require(
            task_vars["inventory_hostname"],
            Machine.model_validate(found),
            known_good.load().limits,
            password="ansible_become_password" in task_vars,
        )
        return result | {"changed": False}
