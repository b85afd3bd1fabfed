"""Plans the upgrade of all nodes, or refuses it, from what kubectl printed; `yard` shows it."""

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import rolling, upgrade
from infra.hosts.action import refusing


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes nodes, server, target, controls and workers. It connects to no host.

    Gives ``steps``, and ``mark``, the annotation of a node that was begun.
    """

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"nodes", "server", "target", "controls", "workers"})

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Plan once for all hosts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        target = str(given["target"])
        steps = upgrade.plan(
            given["nodes"], given["server"], target, given["controls"], given["workers"]
        )
        lines = upgrade.table(steps, target)
        said = {"msg": "\n".join(["", *lines]), "plan": lines, "mark": rolling.UPGRADING}
        return result | {"changed": False, "steps": [asdict(step) for step in steps]} | said
