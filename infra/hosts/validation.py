"""One document over all hosts: what `yard validate --json` prints, and its table."""

import time
from collections.abc import Mapping
from typing import Any

from infra.hosts import judgement
from infra.hosts import nodes as told
from infra.hosts.findings import Finding, Host, State
from infra.hosts.known_good import KnownGood


def peers(listed: str, node: str) -> dict[str, str]:
    """ADDRESS:PORT of a pod on each other node, from lines of node, address, own network, port."""
    found: dict[str, str] = {}
    for line in listed.splitlines():
        name, address, shared, port = line.split("|")
        # A pod in the network of its node proves nothing. A port that nobody serves answers, too.
        if name not in {node, *found} and address and not shared:
            found[name] = f"{address}:{port or 1}"
    return found


def nodes(listed: str) -> dict[str, dict[str, Any]]:
    """Readiness and GPUs by node, from kubectl's JSON; nothing when it did not answer."""
    try:
        found = told.by_name(listed)
    except (ValueError, KeyError):
        return {}
    return {
        name: {
            "ready": told.readiness(node),
            "gpus": int(node["status"].get("allocatable", {}).get("nvidia.com/gpu", 0)),
        }
        for name, node in found.items()
    }


def document(env: str, hosts: list[Host], known: KnownGood, now: float) -> dict[str, Any]:
    """What ci/schemas/validate.json describes."""
    found = [finding for host in hosts for finding in judgement.judge(host, known)]
    return {
        "environment": env,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "state": worst(found).name.lower(),
        "hosts": [host.name for host in hosts],
        "findings": [one.model_dump() | {"state": one.state.name.lower()} for one in found],
    }


def table(validated: Mapping[str, Any]) -> list[str]:
    """The document in words: a line for each fault with rule and remedy, and how much is well."""
    lines = []
    for one in validated["findings"]:
        if one["state"] != "well":
            lines.append(
                f"{one['state'].upper():9} {one['host']:12} {one['check']}: {one['value']}"
            )
            lines.append(f"{'':22} rule: {one['rule']}")
            lines.append(f"{'':22} remedy: {one['remedy']}")
    for host in validated["hosts"]:
        own = [one for one in validated["findings"] if one["host"] == host]
        good = sum(one["state"] == "well" for one in own)
        lines.append(f"{host:22} {good} of {len(own)} are well")
    return [*lines, f"{validated['environment']} is {validated['state']}"]


def worst(found: list[Finding]) -> State:
    """The whole's state; an inventory of nothing is broken."""
    return max((one.state for one in found), default=State.BROKEN)
