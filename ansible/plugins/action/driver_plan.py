"""Plans another driver for GPU hosts, or refuses it, from what kubectl and the hosts said."""

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import driver_change, rolling
from infra.hosts.action import refusing


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``nodes``, and ``hosts`` by name in the inventory's order. It connects to no host.

    Gives ``steps`` by name, and ``mark``, the annotation of a node that was begun.
    """

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"nodes", "hosts"})

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Plan once for all hosts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        hosts = {
            name: driver_change.Seen.model_validate(seen) for name, seen in given["hosts"].items()
        }
        steps = driver_change.plan(given["nodes"], hosts)
        lines = driver_change.table(steps)
        said = {"msg": "\n".join(["", *lines]), "plan": lines, "mark": rolling.CHANGING_DRIVER}
        return result | {"changed": False, "steps": {one.node: _plain(one) for one in steps}} | said


def _plain(step: driver_change.Step) -> dict[str, Any]:
    return asdict(step) | {"seen": step.seen.model_dump()}
