"""A refusal inside of an action plugin is what Ansible, and then `yard`, are told."""

from typing import Any

from infra.hosts.action import refusing
from infra.refusal import Refusal


class _Plugin:
    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Refuse where a value is given."""
        if task_vars:
            raise Refusal("key", task_vars, "a rule", "A remedy.")
        return {"changed": False}


def test_a_refusal_fails_the_task_with_its_four_parts() -> None:
    parts = {"where": "key", "value": "7", "rule": "a rule", "remedy": "A remedy."}

    assert _Plugin().run(None, 7) == {
        "failed": True,
        "msg": "key is 7: a rule. A remedy.",
        "refusal": parts,
    }


def test_without_a_refusal_the_result_is_the_plugins_own() -> None:
    assert _Plugin().run(None, None) == {"changed": False}
