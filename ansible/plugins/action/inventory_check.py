"""Compares a host's variables with the specifications of the roles that it gets, on this machine.

Ansible reads a role's meta/argument_specs.yml when the role begins, when earlier roles have changed
hosts, and ignores a variable that no role knows. This task runs first, over all of them.
"""

from pathlib import Path
from typing import Any

from ansible.constants import INTERNAL_STATIC_VARS
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible.plugins.action import ActionBase
from infra.hosts import inventory
from infra.hosts.action import refusing
from infra.refusal import Refusal

OWN = INTERNAL_STATIC_VARS | {"environment", "omit", "vars"}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Fails with a refusal: where, value, rule, remedy. It connects to no host."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    @refusing
    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Check one host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._require(task_vars)
        return result | {"changed": False}

    def _require(self, variables: dict[str, Any]) -> None:
        host, groups = variables["inventory_hostname"], variables["group_names"]
        playbooks = Path(variables["playbook_dir"])
        files = inventory.files(
            Path(variables["inventory_dir"]), playbooks, self._loader.load_from_file
        )
        inventory.require_groups(files, {*variables["groups"]}, {*variables["hostvars"]})
        inventory.require_effect(files)
        inventory.require_literal(files, host, groups, variables)
        specifications = inventory.specifications(playbooks)
        inventory.require_known(
            {name: variables[name] for name in inventory.named(files, variables) - OWN},
            specifications,
            lambda name: inventory.where(files, name, host, groups),
        )
        for role in ["", *inventory.roles(playbooks, {*groups, "all"})]:
            for name, option in specifications[role].items():
                where = f"{host}: {inventory.where(files, name, host, groups)}: {name}"
                self._require_value(where, name, option, variables)

    def _require_value(
        self, where: str, name: str, option: dict[str, Any], variables: dict[str, Any]
    ) -> None:
        if name not in variables:
            if option.get("required"):
                rule = f"the host's roles need it: {option['description']}"
                raise Refusal(where, None, rule, f"Set {name} in the inventory.")
            return
        try:
            value = self._templar.template(variables[name])
        except AnsibleError as error:
            if not option.get("required") or not variables["modelyard_hosts"]:
                # A fact of hosts of another kind, or of a machine where `yard up` never ran: who
                # needs that asks for it (tasks/start.yml).
                return
            rule = f"it has no value: {error.message}"
            remedy = f"Set {name}, or what it is made of, in the inventory."
            raise Refusal(where, variables[name], rule, remedy) from error
        checked = ArgumentSpecValidator({name: option}).validate(
            {name: value}, validate_role_argument_spec=True
        )
        if checked.error_messages:
            remedy = f"Set {name} to what its role's meta/argument_specs.yml says."
            raise Refusal(where, inventory.shown(name, value), checked.error_messages[0], remedy)
