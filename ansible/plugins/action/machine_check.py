"""Refuses a machine that could not carry what a playbook brings, before it changes anything."""

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure

from ansible.plugins.action import ActionBase
from infra.hosts import clock, known_good, machine
from infra.hosts.action import refusing
from infra.hosts.machine import Machine

PASSWORDS = {"ansible_become_password", "ansible_become_pass"}
"""Also --ask-become-pass, and a file of it, give one."""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``disks``: paths whose file systems have to have room, and ``folders``, which have to
    be there. Fails with a refusal."""

    _supports_check_mode = True

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask the machine, and judge."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        host = task_vars["inventory_hostname"]
        before = time.time()
        try:
            told = self._execute_module(
                module_name="machine_facts", module_args=self._task.args, task_vars=task_vars
            )
        except AnsibleConnectionFailure as error:
            address = str(task_vars.get("ansible_host", host))
            refusal = machine.away(host, address, str(error))
            # Unreachable, as Ansible itself would say: it counts these apart.
            return {"unreachable": True, "msg": str(refusal), "refusal": refusal.parts}
        after = time.time()
        if "machine" not in told:
            return result | told
        found = dict(told["machine"])
        found["clock_off"] = clock.off(before, found.pop("time"), after)
        machine.require(
            host,
            Machine.model_validate(found),
            known_good.load().limits,
            password=bool(PASSWORDS & task_vars.keys() or self._play_context.become_pass),
        )
        return result | {"changed": False}
