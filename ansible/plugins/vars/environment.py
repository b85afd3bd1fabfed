"""Variables of an inventory's environment: the typed model that Pulumi and yard read, too.

For every host: ``modelyard_environment`` (Pulumi.ENV.yaml, checked), ``modelyard_state`` (folder of
the environment on this machine), ``modelyard_data`` (folder of its backups), ``modelyard_hosts``
(hosts/facts.json, written by `yard up`: binaries and image archives with their digests). For a host
that the environment names:
``modelyard_node``, and ``ansible_host`` where Ansible enters it through the engine. That is no
template of the inventory, because Mitogen takes what leads to a host that work is delegated to as
it stands.
"""

import ipaddress
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.group import Group
from ansible.inventory.host import Host

from ansible.plugins.vars import BaseVarsPlugin
from infra import environment, places, refusal

DOCUMENTATION = """
name: environment
short_description: variables of the environment that an inventory belongs to
description:
  - Finds the environment whose cluster.inventory or cluster.edge is the inventory's folder.
  - MODELYARD_ENVIRONMENT chooses one where several share an inventory.
options: {}
"""

BY_ENGINE = "entered_by_engine"
"""Group of hosts that are containers of this machine and are not reached over SSH."""


class VarsModule(BaseVarsPlugin):
    """Offers the environment to the group ``all`` and the node to its host."""

    is_stateless = True

    def get_vars(self, loader: Any, path: str, entities: Any) -> dict[str, Any]:  # noqa: ARG002
        """Variables of one host or group; nothing for paths that are no inventory."""
        folder = Path(path)
        folder = folder if folder.is_dir() else folder.parent
        if folder.parent.name != "inventories":
            return {}
        found: dict[str, Any] = {}
        for entity in entities if isinstance(entities, list) else [entities]:
            found |= self._of(folder.name, entity)
        return found

    def _of(self, inventory: str, entity: Any) -> dict[str, Any]:
        try:
            if isinstance(entity, Group):
                return _shared(inventory) if entity.name == "all" else {}
            return _host(inventory, entity) if isinstance(entity, Host) else {}
        except refusal.Refusal as refused:
            raise AnsibleParserError(str(refused)) from refused


@cache
def _environment(inventory: str) -> environment.Environment:
    chosen = os.environ.get("MODELYARD_ENVIRONMENT")
    loaded = [environment.load(name) for name in ([chosen] if chosen else environment.names())]
    found = [one for one in loaded if inventory in (one.cluster.inventory, one.cluster.edge)]
    if len(found) != 1:
        raise refusal.Refusal(
            "inventory",
            inventory,
            f"{len(found)} environments have it as their cluster.inventory or .edge, not one",
            "Set MODELYARD_ENVIRONMENT to the environment's name.",
        )
    return found[0]


@cache
def _shared(inventory: str) -> dict[str, Any]:
    found = _environment(inventory)
    state = places.state(found.name)
    facts = state / "hosts" / "facts.json"
    return {
        "modelyard_environment": found.model_dump(mode="json"),
        "modelyard_state": str(state),
        "modelyard_data": str(places.data(found.name)),
        "modelyard_hosts": json.loads(facts.read_text()) if facts.is_file() else {},
    }


def _host(inventory: str, host: Host) -> dict[str, Any]:
    node = _node(inventory, host.name)
    if node and BY_ENGINE in (group.name for group in host.get_groups()):
        return {"modelyard_node": node, "ansible_host": node["container"]}
    return {"modelyard_node": node} if node else {}


def _node(inventory: str, host: str) -> dict[str, Any]:
    found = _environment(inventory)
    # One /24 of the pod network per node, in the order of the pools.
    subnets = ipaddress.ip_network(found.network.pods).subnets(new_prefix=24)
    for node, subnet in zip(found.nodes(), subnets, strict=False):
        if node.name == host:
            pool = next(pool for pool in found.pools if pool.name == node.pool)
            return {
                "address": node.address,
                "container": f"modelyard-{found.name}-{host}",
                "pod_subnet": str(subnet),
                "pool": pool.name,
                "kind": pool.kind,
            }
    return {}
