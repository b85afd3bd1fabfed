"""What an object is called: kind, name, namespace, id; and what of it goes to the server."""

import hashlib
from dataclasses import dataclass

from infra.plugins.kubernetes.cluster import Object
from infra.plugins.kubernetes.values import (
    UNKNOWN,
    Secret,
    Tree,
    Unknown,
    has_unknowns,
    marked,
    plain,
    without_nulls,
)

AUTONAMED = "pulumi.com/autonamed"
PATCH_FORCE = "pulumi.com/patchForce"
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"
OWNER = "modelyard.dev/urn"
"""Which resource made an object. By it, the next `up` completes what a killed one began."""

TAKEN_OVER = "__takenOver"
"""Output of an object that a refresh found to differ: the state has it as it is, not as applied."""

# Kinds without a namespace that a program may create before the API server can be asked.
CLUSTER_SCOPED = {
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "CSIDriver",
    "CSINode",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
}
CLUSTER_SCOPED_CUSTOM = {"ClusterAnalysisTemplate", "ClusterIssuer"}
# Groups whose other kinds are all namespaced: those that the API server itself serves.
BUILT_IN_SUFFIX = ".k8s.io"
BUILT_IN = {"", "apps", "autoscaling", "batch", "policy"}


class NotServed(Exception):  # noqa: N818 - it is a refusal
    """A type token that the stand-in does not serve; the text says what to use in its place."""


@dataclass(frozen=True)
class Reference:
    """Which object: everything but its content."""

    api_version: str
    kind: str
    namespace: str | None
    name: str

    @property
    def id(self) -> str:
        """The engine's id: `namespace/name`, or `name` without a namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def group(self) -> str:
        """The API group; '' for core."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def kind_of(token: str) -> tuple[str, str]:
    """(apiVersion, kind) of `kubernetes:GROUP/VERSION:Kind`; raises NotServed for anything else."""
    parts = token.split(":")
    if len(parts) != 3 or ("/" not in parts[1] and not parts[1].startswith("v")):
        raise NotServed(_not_served(token))
    group_version, kind = parts[1], parts[2]
    group = group_version.partition("/")[0]
    built_in = group in BUILT_IN or group == "core" or group.endswith(BUILT_IN_SUFFIX)
    if (
        group in ("yaml", "helm.sh", "kustomize")
        or kind.endswith("Patch")
        or (kind.endswith("List") and built_in)
    ):
        raise NotServed(_not_served(token))
    if group == "core":
        return group_version.partition("/")[2], kind
    return group_version, kind


def _not_served(token: str) -> str:
    return (
        f"{token} is not served by this stand-in for the Kubernetes plugin. "
        "Use typed resources (pulumi_kubernetes classes) and CustomResource, one object each; "
        "read files of objects in Python."
    )


def is_cluster_scoped(api_version: str, kind: str) -> bool | None:
    """What is known of a kind's scope without asking a server; None for an unknown custom kind."""
    if kind in CLUSTER_SCOPED or kind in CLUSTER_SCOPED_CUSTOM:
        return True
    group = api_version.rpartition("/")[0]
    return False if group in BUILT_IN or group.endswith(BUILT_IN_SUFFIX) else None


def metadata(tree: Tree) -> dict[str, Tree]:
    """The metadata of an object tree, without marks of secrets; {} where unknown or absent."""
    tree = tree.value if isinstance(tree, Secret) else tree
    found = plain(tree.get("metadata")) if isinstance(tree, dict) else None
    return found if isinstance(found, dict) else {}


def annotation(tree: Tree, key: str) -> str | None:
    """An annotation's value, or None."""
    annotations = metadata(tree).get("annotations")
    value = annotations.get(key) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else None


def is_on(tree: Tree, key: str) -> bool:
    """Whether an annotation says "true"."""
    return (annotation(tree, key) or "").lower() == "true"


def reference(
    tree: Tree, *, token: str, identifier: str = "", namespace: str | None = None
) -> Reference:
    """Which object a property bag describes; ``identifier`` is the engine's id, where it has one.

    ``namespace`` is the one for objects that name none; None for kinds without a namespace.
    """
    api_version, kind = kind_of(token)
    if isinstance(tree, dict):
        api_version = _text(tree.get("apiVersion")) or api_version
        kind = _text(tree.get("kind")) or kind
    if identifier:
        scope, _, name = identifier.rpartition("/")
        return Reference(api_version, kind, scope or None, name)
    described = metadata(tree)
    name = _text(described.get("name")) or ""
    return Reference(api_version, kind, _text(described.get("namespace")) or namespace, name)


def _text(value: Tree) -> str | None:
    value = plain(value)
    return value if isinstance(value, str) else None


def automatic_name(urn: str, seed: bytes, *, stem: str) -> str:
    """A name for an object that has none: the resource's, and eight characters from the seed."""
    digest = hashlib.sha256(seed + urn.encode()).hexdigest()
    return f"{stem}-{digest[:8]}"


def body(tree: dict[str, Tree], to: Reference) -> Object:
    """The object as it goes to the API server."""
    content: Object = without_nulls(plain(tree))
    for private in [key for key in content if key.startswith("__") or key == "id"]:
        del content[private]
    content.pop("status", None)
    content["apiVersion"], content["kind"] = to.api_version, to.kind
    described = dict(content.get("metadata") or {})
    described["name"] = to.name
    if to.namespace:
        described["namespace"] = to.namespace
    else:
        described.pop("namespace", None)
    content["metadata"] = described
    return content


def outputs(live: Object, secrets: list[tuple[str | int, ...]]) -> dict[str, Tree]:
    """An object of the API server as the engine keeps it: without bookkeeping, secrets marked."""
    content = {key: value for key, value in live.items() if key != "metadata"}
    content["metadata"] = {
        key: value for key, value in live.get("metadata", {}).items() if key != "managedFields"
    }
    return with_secret_data(marked(content, secrets))


def with_secret_data(tree: dict[str, Tree]) -> dict[str, Tree]:
    """Mark the content of a Secret as secret, whatever the program marked."""
    if plain(tree.get("kind")) != "Secret":
        return tree
    copy = dict(tree)
    for field in ("data", "stringData"):
        value = copy.get(field)
        if isinstance(value, dict):
            copy[field] = {
                key: item if isinstance(item, Secret | Unknown) else Secret(item)
                for key, item in value.items()
            }
    return copy


# What the server sets anew with every creation: a dry run's values would be lies.
_SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "generation")


def preview(tree: dict[str, Tree], given: dict[str, Tree], *, created: bool) -> dict[str, Tree]:
    """Outputs of a preview: what only the real operation can tell is unknown."""
    copy = dict(tree)
    described = dict(copy["metadata"]) if isinstance(copy.get("metadata"), dict) else {}
    for key in _SERVER_SET if created else ("resourceVersion", "generation"):
        described[key] = UNKNOWN
    copy["metadata"] = described
    if created:
        copy["status"] = UNKNOWN
        spec = copy.get("spec")
        if plain(copy.get("kind")) == "Service" and isinstance(spec, dict):
            wanted = plain(given.get("spec"))
            wanted = wanted if isinstance(wanted, dict) else {}
            fields = ("clusterIP", "clusterIPs")
            copy["spec"] = spec | {key: UNKNOWN for key in fields if key not in wanted}
    return copy


def is_complete(tree: dict[str, Tree]) -> bool:
    """Whether everything in a property bag is known."""
    return not has_unknowns(tree)
