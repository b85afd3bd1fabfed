"""A cluster that a team has already: ask it for what its contract promises, give it our images.

Nothing is changed on the cluster here; platform and models are Pulumi's, as everywhere.
"""

import subprocess
from collections.abc import Iterator
from typing import Any

from kubernetes import client

from ci.pipeline import account_images, cluster, files
from ci.pipeline.cluster import PATIENCE_S
from ci.report import Report
from ci.toolchain import images, provide, supply
from infra import contract, existing
from infra.contract import Contract, Described, Image
from infra.environment import Environment
from infra.existing import Node, Seen
from infra.foundation.images import BUILT
from infra.platform import spaces
from infra.refusal import Refusal
from infra.storage import in_folders
from infra.team_gateway import GatewayPod

OWNER = "modelyard.dev/environment"
COLLECTIONS = {
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "Namespace": "/api/v1/namespaces",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
}
NAMESPACES = (
    *(spaces.STORAGE, spaces.REGISTRY, spaces.GATEWAY, spaces.DELIVERY),
    *(spaces.MONITORING, spaces.ACCELERATORS, spaces.MODELS),
)
TEAMS = {"traefik": "gateway", "metrics-server": "metrics", "prometheus": "monitoring"}
"""Images that nobody runs where `existing` has the name beside them."""


def ask(env: Environment, report: Report) -> None:
    """Take over the kubeconfig, and refuse a cluster that is not as its contract says."""
    told = contract.described(env)
    facts = contract.promised(env)
    _take_over(env, told, facts)
    report(f"asking {facts.api}", 0, 0)
    if facts.gateway.ca and not facts.gateway.ca.expanduser().is_file():
        rule, remedy = "there is no such file", "Write where the certificate is."
        raise Refusal(f"{contract.by_hand(env)}: gateway.ca", str(facts.gateway.ca), rule, remedy)
    for key, value, rule, remedy in existing.broken(told, look(facts), env.name, makes(told)):
        raise Refusal(f"{contract.by_hand(env)}: {key}", value, rule, remedy)


def makes(told: Described) -> tuple[str, ...]:
    """What the platform makes that is the whole cluster's, so that another's is in its way."""
    left_out = spaces.left_out(told)
    made = [f"Namespace {name}" for name in NAMESPACES if name not in left_out]
    # One of each project's: they come and go together.
    made.append("CustomResourceDefinition rollouts.argoproj.io")
    if "gateway" not in told.existing:
        made.append("CustomResourceDefinition ingressroutes.traefik.io")
    if "metrics" not in told.existing:
        made.append(f"APIService {existing.METRICS_API}")
    made += [f"StorageClass {one.name}" for one in told.classes]
    return tuple(made)


def look(facts: Contract) -> Seen:
    """What the cluster says of itself; ClusterError when it is silent."""
    with cluster.connect(facts) as connection:
        version: Any = client.VersionApi(connection).get_code(_request_timeout=PATIENCE_S)
        owners = {
            f"{kind} {one['metadata']['name']}": one["metadata"].get("labels", {}).get(OWNER, "")
            for kind, path in COLLECTIONS.items()
            for one in cluster.items(connection, path, "")
        }
        return Seen(
            server=str(connection.configuration.host),
            # Some vendors write the minor version as 31+.
            version=(int(version.major), int(version.minor.rstrip("+"))),
            nodes=tuple(_node(one) for one in cluster.items(connection, "/api/v1/nodes", "")),
            owners=owners,
            gateway=_gateway(connection, facts) if "gateway" in facts.existing else (),
        )


def _gateway(connection: client.ApiClient, facts: Contract) -> tuple[GatewayPod, ...]:
    path = f"/api/v1/namespaces/{facts.gateway.namespace}/pods"
    labels = ",".join(f"{key}={value}" for key, value in facts.gateway.labels.items())
    return tuple(
        GatewayPod(
            name=one["metadata"]["name"],
            arguments=tuple(
                word
                for container in one["spec"]["containers"]
                for word in (*container.get("command", ()), *container.get("args", ()))
            ),
        )
        for one in cluster.items(connection, path, labels)
        if one["status"].get("phase") == "Running"
    )


def _node(document: dict[str, Any]) -> Node:
    taints = document["spec"].get("taints", [])
    return Node(
        name=document["metadata"]["name"],
        labels=document["metadata"].get("labels", {}),
        taints=frozenset(f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in taints),
        offers=document["status"].get("allocatable", {}),
    )


def publish(env: Environment, report: Report) -> dict[str, Image]:
    """Copy the platform's images that the team's registry lacks; all, as the contract names them.

    With the rights of whoever is logged in there (`skopeo login`). PushError where one fails.
    """
    facts, source = contract.promised(env), supply.resolve(env)
    found = {}
    names = list(_wanted(facts))
    for number, name in enumerate(names):
        report(f"image {name}", number, len(names))
        made = images.ensure(name, report, source)
        tag = f"{made.reference.rsplit(':', 1)[1]}-{made.digest.removeprefix('sha256:')[:12]}"
        target = f"{facts.registry.push}/{name}:{tag}"
        if _digest(target) != made.digest:
            account_images.copy(f"oci-archive:{made.path}:{made.reference}", target)
        found[name] = Image(reference=f"{facts.registry.pull}/{name}:{tag}", digest=made.digest)
    return found


def _wanted(facts: Contract) -> Iterator[str]:
    yield from (f"modelyard/{name}" for name in BUILT if TEAMS.get(name) not in facts.existing)
    if in_folders(facts.classes):
        yield from ("modelyard/local-path-provisioner", "modelyard/shell")
    if any(pool.simulated for pool in facts.pools):
        yield "modelyard/gpu-device-plugin"


def _digest(reference: str) -> str:
    command = ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", f"docker://{reference}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    # Absent, or not to be asked: the copy that follows says what is wrong.
    return done.stdout.strip() if done.returncode == 0 else ""


def hand_over(env: Environment, published: dict[str, Image]) -> bool:
    """Write the contract; whether it changed."""
    crds = provide.definitions(supply.resolve(env))
    facts = contract.settled_existing(env, published, crds)
    return files.update(contract.path(env.name), facts.model_dump_json(indent=1) + "\n", 0o600)


def _take_over(env: Environment, told: Described, facts: Contract) -> None:
    """Copy what the kubeconfig's current context needs, certificates included, for us alone."""
    entry = provide.find("kubernetes", supply.resolve(env))
    assert entry is not None, "the step before this one provides kubectl"
    source = told.kubeconfig.expanduser()
    if not source.is_file():
        rule, remedy = "there is no such file", "Write where the cluster's kubeconfig is."
        raise Refusal(f"{contract.by_hand(env)}: kubeconfig", str(source), rule, remedy)
    command = [str(entry.file("bin/kubectl")), "config", "view", "--raw", "--flatten", "--minify"]
    done = subprocess.run(
        [*command, "--kubeconfig", str(source)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        rule, remedy = done.stderr.strip(), "Correct it, or name another kubeconfig."
        raise Refusal(f"{contract.by_hand(env)}: kubeconfig", str(source), rule, remedy)
    files.update(facts.kubeconfig, done.stdout, 0o600)
