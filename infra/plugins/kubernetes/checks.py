"""What a program may ask for, completed with what it left out: kind, name, namespace."""

from dataclasses import dataclass, field

from pulumi.runtime.proto import provider_pb2

from infra.plugins.kubernetes import objects
from infra.plugins.kubernetes.cluster import Cluster
from infra.plugins.kubernetes.errors import ClusterError
from infra.plugins.kubernetes.values import Secret, Tree, Unknown, plain

# Settings of the real plugin that change what it does, and that the stand-in has not.
_REFUSED_SETTINGS = {
    "renderYamlToDirectory": "it renders no YAML",
    "skipUpdateUnreachable": "an unreachable cluster is an error",
    "helmReleaseSettings": "it has no Helm releases",
}


@dataclass
class Checked:
    """Completed inputs, or what is wrong with them by property."""

    inputs: dict[str, Tree]
    failures: list[tuple[str, str]] = field(default_factory=list)


def settings(given: dict[str, Tree]) -> list[tuple[str, str]]:
    """What is wrong with a provider's configuration."""
    failures = [
        (
            name,
            f"This stand-in for the Kubernetes plugin does not serve {name}: {reason}. Remove it.",
        )
        for name, reason in _REFUSED_SETTINGS.items()
        if plain(given.get(name)) not in (None, False, "false", "")
    ]
    if plain(given.get("enableServerSideApply")) in (False, "false"):
        text = "This stand-in works by server-side apply only. Remove enableServerSideApply."
        failures.append(("enableServerSideApply", text))
    return failures


def check(
    cluster: Cluster, request: provider_pb2.CheckRequest, news: dict[str, Tree], olds: Tree
) -> Checked:
    """Complete and check the inputs of one object."""
    token = request.type or request.urn.split("::")[2].split("$")[-1]
    try:
        api_version, kind = objects.kind_of(token)
    except objects.NotServed as error:
        return Checked(news, [("", str(error))])
    inputs = {"apiVersion": api_version, "kind": kind} | news
    found = inputs.get("metadata")
    if isinstance(found, Unknown | Secret):
        return Checked(objects.with_secret_data(inputs))
    result = Checked(inputs)
    metadata: dict[str, Tree] = dict(found) if isinstance(found, dict) else {}
    _name(request, metadata, olds, result)
    _namespace(cluster, inputs, metadata, result)
    result.inputs = objects.with_secret_data(inputs | {"metadata": metadata})
    return result


def _name(
    request: provider_pb2.CheckRequest, metadata: dict[str, Tree], olds: Tree, result: Checked
) -> None:
    if metadata.get("generateName"):
        text = "generateName is not served by this stand-in: leave out the name, and it makes one."
        result.failures.append(("metadata.generateName", text))
    if metadata.get("name") is not None:
        if plain(metadata["name"]) == "":
            result.failures.append(("metadata.name", "the name is empty. Set or remove it."))
        return
    naming = request.autonaming if request.HasField("autonaming") else None
    stem = request.name or request.urn.rpartition("::")[2]
    if objects.is_on(olds, objects.AUTONAMED):
        name = objects.metadata(olds)["name"]
    elif naming and naming.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE:
        text = "automatic naming is disabled (pulumi:autonaming). Set metadata.name."
        result.failures.append(("metadata.name", text))
        return
    elif naming and naming.proposed_name:
        name = naming.proposed_name
    else:
        name = objects.automatic_name(request.urn, request.randomSeed, stem=stem)
    metadata["name"] = name
    annotations = metadata.get("annotations")
    if annotations is None or isinstance(annotations, dict):
        metadata["annotations"] = dict(annotations or {}) | {objects.AUTONAMED: "true"}


def _namespace(
    cluster: Cluster, inputs: dict[str, Tree], metadata: dict[str, Tree], result: Checked
) -> None:
    scoped = _is_cluster_scoped(
        cluster, str(plain(inputs["apiVersion"])), str(plain(inputs["kind"]))
    )
    if scoped and metadata.get("namespace") is not None:
        text = f"a {plain(inputs['kind'])} has no namespace. Remove it."
        result.failures.append(("metadata.namespace", text))
    if scoped is False and metadata.get("namespace") is None:
        metadata["namespace"] = cluster.namespace()


def _is_cluster_scoped(cluster: Cluster, api_version: str, kind: str) -> bool | None:
    """The scope of a kind; None while neither we nor the cluster know the kind."""
    known = objects.is_cluster_scoped(api_version, kind)
    if known is not None:
        return known
    try:
        return not cluster.kind(api_version, kind).namespaced
    except ClusterError:
        return None
