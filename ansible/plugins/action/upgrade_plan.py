"""Plans the upgrade of all nodes, or refuses it, from what kubectl printed; `yard` shows it."""

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import upgrade
from infra.refusal import Refusal


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes nodes, server, target, controls and workers. It connects to no host."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"nodes", "server", "target", "controls", "workers"})

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Plan once for all hosts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        target = str(given["target"])
        try:
            steps = upgrade.plan(
                given["nodes"], given["server"], target, given["controls"], given["workers"]
            )
        except Refusal as refused:
            return result | {"failed": True, "msg": str(refused), "refusal": refused.parts}
        lines = upgrade.table(steps, target)
        said = {"msg": "\n".join(["", *lines]), "plan": lines}
        return result | {"changed": False, "steps": [asdict(step) for step in steps]} | said
