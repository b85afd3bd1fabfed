"""`yard logs NAME`."""

import os
import subprocess
from typing import Annotated

import typer

from ci.pipeline import cluster, stacks
from ci.yard import arguments
from infra import contract, environment
from infra.refusal import Refusal


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model or platform component.")],
    within: arguments.Within = "local",
    tail: Annotated[int, typer.Option(min=0, help="Last lines of each pod.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the logs of all pods of a model or a platform component, each line with its pod."""
    loaded = environment.load(within)
    namespace, selector = find(contract.load(loaded), name)
    command = ["kubectl", "logs", "-n", namespace, "-l", selector, "--prefix", f"--tail={tail}"]
    command += ["--all-containers", "--max-log-requests=20", *(["--follow"] if follow else [])]
    done = subprocess.run(command, env=os.environ | stacks.engine_environment(loaded))
    raise typer.Exit(done.returncode)


def find(facts: contract.Contract, name: str) -> tuple[str, str]:
    """Namespace and label selector of the pods; refuses a name that has none."""
    known: dict[str, tuple[str, str]] = {}
    for pod in cluster.pods(facts):
        for label in ("modelyard.dev/model", "app.kubernetes.io/name"):
            if value := (pod.metadata.labels or {}).get(label):
                known.setdefault(value, (pod.metadata.namespace, f"{label}={value}"))
    if name not in known:
        raise Refusal(
            "name", name, "no pod has this name", f"Known names: {', '.join(sorted(known))}."
        )
    return known[name]
