"""Turns what host_report saw on every host into findings, a table and one document."""

import json
import time
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import findings, known_good, validation

VIEW = "__validate_view"
REPORT = "__validate_report"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails when something is broken. It connects to no host; it reads what they said before."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Judge all hosts of the inventory at once."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        hostvars = task_vars["hostvars"]
        # An inventory of edge hosts has no cluster.
        controls = task_vars["groups"].get("control_plane", [])
        views = [hostvars[name].get(VIEW) or {} for name in controls]
        answers = [validation.nodes(view.get("stdout") or "") for view in views]
        nodes: dict[str, Any] = next(filter(None, answers), {})
        said = views[0] if views else {}
        why = said.get("stderr") or said.get("msg") or "it was not asked"
        blind = "" if nodes else f"no answer from the API server: {why}"
        env = task_vars["modelyard_environment"]
        hosts = [self._host(name, hostvars[name], nodes, blind, env) for name in sorted(hostvars)]
        document = validation.document(env["name"], hosts, known_good.load(), time.time())
        broken = document["state"] == findings.State.BROKEN.name.lower()
        table = "\n".join(["", *validation.table(document)])
        return result | {"changed": False, "failed": broken, "msg": table, "document": document}

    def _host(
        self, name: str, variables: Any, nodes: dict[str, Any], blind: str, env: dict[str, Any]
    ) -> findings.Host:
        said = variables.get(REPORT) or {}
        node = name in variables["groups"].get("kubernetes", [])
        pool = self._pool(variables, env) if node else {}
        return findings.Host(
            name=name,
            unreachable="" if "report" in said else str(said.get("msg", "it was not asked")),
            report=findings.Report.model_validate(said["report"]) if "report" in said else None,
            node=node,
            gpus=pool.get("gpus_per_node", 0),
            mig=pool.get("mig"),
            simulated=pool.get("simulated", False),
            ready=nodes.get(name, {}).get("ready", blind),
            allocatable=nodes.get(name, {}).get("gpus", 0),
        )

    def _pool(self, variables: Any, env: dict[str, Any]) -> dict[str, Any]:
        found = [pool for pool in env["pools"] if pool["name"] == variables["node_pool"]]
        return json.loads(json.dumps(found[0])) if found else {}
