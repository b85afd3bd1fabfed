"""Refuses work on a node that still has pods, by asking the API server on a control plane.

Give it ``delegate_to`` a control plane and ``check_mode: false``. A host that is no node passes:
nothing of the cluster runs there.
"""

import json
from typing import Any

from ansible.plugins.action import ActionBase
from infra.hosts import draining
from infra.hosts.action import refusing
from infra.refusal import Refusal

KUBECTL = ["/usr/local/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"]


class ActionModule(ActionBase):  # type: ignore[misc]
    """Takes ``node`` and ``why``: what is about to be done there."""

    _VALID_ARGS = frozenset({"node", "why"})

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask, and refuse with host, key, value, rule and remedy."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        node, why = str(self._task.args["node"]), str(self._task.args["why"])
        said = []
        for question in (["nodes"], ["pods", "--all-namespaces"]):
            argv = [*KUBECTL, "--request-timeout=20s", "get", *question, "--output=json"]
            answer = self._execute_module(
                "ansible.legacy.command", {"argv": argv}, task_vars=task_vars
            )
            if answer.get("failed") or answer.get("rc") != 0:
                complaint = answer.get("stderr") or answer.get("msg")
                return result | {
                    "failed": True,
                    "msg": f"the API server did not say what runs on {node}: {complaint}",
                }
            said.append(json.loads(answer["stdout"]))
        fault = draining.fault(node, *said)
        if not fault:
            return result | {"changed": False}
        rule = f"{why} asks for a drained node"
        remedy = f"Run kubectl drain {node} --ignore-daemonsets; drivers.yml does it for a driver."
        raise Refusal(f"{node}: pods", fault, rule, remedy)
