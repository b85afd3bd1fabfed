"""The environment `fenced`, which is on Cilium: pods there, a policy, and who reaches whom."""

import json
from collections.abc import Callable
from typing import Any

from infra import contract
from infra.environment import Environment
from tests.hosts import machines

NAME = "fenced"
NAMESPACE = "fenced"
OPEN, CLOSED = 8080, 9090
LISTEN = (
    f"$SIG{{PIPE}} = q(IGNORE); my $port = fork ? {OPEN} : {CLOSED};"
    " my $door = IO::Socket::INET->new(LocalPort => $port, Listen => 128) or die $!;"
    " while (my $caller = $door->accept) { print $caller qq(served\\n); close $caller }"
)
"""Listens on both ports and says a word to each caller."""
FRIENDS: dict[str, Any] = {
    "podSelector": {"matchLabels": {"role": "server"}},
    "ingress": [
        {
            "from": [{"podSelector": {"matchLabels": {"role": "friend"}}}],
            "ports": [{"port": OPEN, "protocol": "TCP"}],
        }
    ],
}
"""A policy: friends reach servers on the port OPEN, and nobody else reaches them."""

Kubectl = Callable[..., str]


def server(env: Environment, node: str) -> dict[str, Any]:
    """A pod that listens on both ports."""
    command = ["perl", "-MIO::Socket::INET", "-e", LISTEN]
    return asker(env, "server", node, command)


def asker(
    env: Environment, name: str, node: str, command: list[str] | None = None
) -> dict[str, Any]:
    """A pod that connections are tried from; it runs the command, or sleeps."""
    # The one image that every node has and that has a shell.
    image = contract.load(env).images["modelyard/shell"].pinned
    pod = machines.sleeper(node, meta(name), image)
    if command:
        pod["spec"]["containers"][0]["command"] = command
    return pod


def meta(name: str) -> dict[str, Any]:
    """Metadata of a pod, whose role is its name."""
    return {"name": name, "namespace": NAMESPACE, "labels": {"role": name}}


def wait(kubectl: Kubectl) -> None:
    """Wait until all pods are ready."""
    ready = ("--for=condition=Ready", "pods", "--all", "--timeout=300s")
    kubectl("wait", f"--namespace={NAMESPACE}", *ready)


def restrict(kubectl: Kubectl, name: str, spec: dict[str, Any]) -> None:
    """Apply a NetworkPolicy."""
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    kubectl("apply", "--filename=-", text=json.dumps(document))


def reaches(kubectl: Kubectl, pod: str, address: str, port: int) -> bool:
    """Whether a connection opens within 3 seconds; a denied one gets no answer at all."""
    talk = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo open || echo shut"
    said = kubectl("exec", f"--namespace={NAMESPACE}", pod, "--", "bash", "-c", talk)
    return said.split()[-1] == "open"
