"""`yard status [ENV]`."""

from ci.pipeline import status
from ci.yard import arguments, say


def command(
    env: arguments.Environment = "local",
    json_: arguments.Json = False,
) -> None:
    """Show nodes, pools, platform and models of an environment, as the cluster says now."""
    found = status.read(env)
    if json_:
        say.document(found.model_dump(mode="json"))
        return
    for line in lines(found):
        print(line)
    if found.services:
        say.following(f".venv/bin/yard predict {found.services[0].name} --in {env}")
    else:
        say.following(f".venv/bin/yard ship NAME --to {env}")


DEVICES = {"gpu": "GPUs", "neuron": "Neuron devices"}


def lines(found: status.Status) -> list[str]:
    """The status in words, one fact a line; no colour, so that it also reads in a log."""
    said = [f"environment {found.environment}, tools from supply {found.supply}", "", "nodes"]
    for node in found.nodes:
        said.append(f"  {node.name:28} {node.role:14} {node.pool:8} {_ready(node.ready)}")
    said += ["", "pools"]
    for pool in found.pools:
        offered = f"{pool.gpus} {DEVICES[pool.kind]}" if pool.kind in DEVICES else ""
        simulated = "simulated" if pool.simulated else ""
        nodes = f"{pool.nodes} nodes"
        said.append(f"  {pool.name:28} {pool.kind:14} {nodes:8} {offered:8} {simulated}".rstrip())
    said += ["", f"network {found.network.engine}, policies {found.network.policies}"]
    said += ["", "platform"]
    for part in found.platform:
        name = f"{part.namespace}/{part.name}"
        said.append(
            f"  {name:43} {part.ready} of {part.wanted}  {_ready(part.ready >= part.wanted)}"
        )
    said += ["", "models" if found.services else "models: none"]
    for service in found.services:
        said.append(f"  {service.name} at {service.url}")
        for version in service.versions:
            said.append(f"    {version.version:8} {version.weight:3} %  {version.digest}")
    return said


def _ready(yes: bool) -> str:
    return "ready" if yes else "NOT READY"
