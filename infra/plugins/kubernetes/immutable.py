"""Fields that Kubernetes does not let change: a new value means a new object."""

from infra.plugins.kubernetes import paths
from infra.plugins.kubernetes.values import Path, Tree

_ANY_SPEC: tuple[str, ...] = ("spec",)

# By (group, kind): property paths, in the notation of Pulumi.
_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "ConfigMap"): ("data", "binaryData", "immutable"),
    ("", "Secret"): ("type", "data", "stringData", "immutable"),
    ("", "Service"): ("spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies", "spec.type"),
    ("", "PersistentVolumeClaim"): _ANY_SPEC,
    ("", "PersistentVolume"): _ANY_SPEC,
    ("", "Pod"): _ANY_SPEC,
    ("", "ReplicationController"): ("spec.selector",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.selector",
        "spec.serviceName",
        "spec.podManagementPolicy",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        "spec.template",
        "spec.selector",
        "spec.completions",
        "spec.completionMode",
        "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex",
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): (
        "provisioner",
        "parameters",
        "reclaimPolicy",
        "volumeBindingMode",
    ),
    ("storage.k8s.io", "CSIDriver"): ("spec.attachRequired",),
    ("scheduling.k8s.io", "PriorityClass"): ("value", "preemptionPolicy"),
    ("networking.k8s.io", "IngressClass"): ("spec.controller",),
    ("node.k8s.io", "RuntimeClass"): ("handler",),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        "spec.group",
        "spec.scope",
        "spec.names.plural",
        "spec.names.kind",
    ),
}
# Inside of the fields above, what may change after all.
_MUTABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "PersistentVolumeClaim"): ("spec.resources", "spec.volumeAttributesClassName"),
    ("", "PersistentVolume"): (
        "spec.persistentVolumeReclaimPolicy",
        "spec.capacity",
        "spec.mountOptions",
        "spec.claimRef",
        "spec.storageClassName",
    ),
    ("", "Pod"): (
        "spec.containers[*].image",
        "spec.initContainers[*].image",
        "spec.activeDeadlineSeconds",
        "spec.tolerations",
    ),
}


def among(group: str, kind: str, changed: list[Path], old: Tree) -> list[Path]:
    """Those of the changed paths that make an object immutable to the change.

    ``old`` is the object before: ConfigMaps and Secrets are immutable only where they say so.
    """
    key = (group, kind)
    fixed = [paths.parse(text) for text in _FIELDS.get(key, ())]
    free = [paths.parse(text) for text in _MUTABLE.get(key, ())]
    if (
        kind in ("ConfigMap", "Secret")
        and not group
        and paths.get(old, ("immutable",))[1] is not True
    ):
        fixed = [("type",)] if kind == "Secret" else []
    if key == ("", "Service"):
        fixed = [path for path in fixed if _service_field_is_fixed(path, old)]
    return [
        path
        for path in changed
        if any(paths.covers(pattern, path) or paths.covers(path, pattern) for pattern in fixed)
        and not any(paths.covers(pattern, path) for pattern in free)
    ]


def _service_field_is_fixed(path: Path, old: Tree) -> bool:
    # Only the move between headless, addressed and ExternalName needs a new Service.
    if path == ("spec", "type"):
        return bool(paths.get(old, path)[1] == "ExternalName")
    return True
