"""How the rules for workloads are put to the API server: what they match, and their variables.

No pulumi here: infra/platform/admission.py makes the objects of it.
"""

from infra.policy.exemptions import Place

# kubeadm's and the cluster's own parts, which Ansible or a cloud answers for.
SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")

# Label of the platform's own namespaces.
OWN = "modelyard.dev/environment"

RESOURCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("pods", "pods/ephemeralcontainers", "replicationcontrollers")),
    ("apps", ("deployments", "replicasets", "statefulsets", "daemonsets")),
    ("batch", ("jobs", "cronjobs")),
    ("argoproj.io", ("rollouts",)),
)
"""Pods, whoever makes them; and their makers, so that a person hears of a fault at once."""

VARIABLES = {
    # dyn(): one policy for many kinds, which the API server's type check cannot follow.
    "spec": "dyn(object.spec)",
    "pod": "has(variables.spec.containers) ? variables.spec : has(variables.spec.jobTemplate) ? "
    "variables.spec.jobTemplate.spec.template.spec : "
    "variables.spec.?template.?spec.orValue({'containers': []})",
    "serving": "variables.pod.?containers.orValue([])",
    "lasting": "variables.serving + variables.pod.?initContainers.orValue([])",
    "all": "variables.lasting + variables.pod.?ephemeralContainers.orValue([])",
}

# Only what is asked for anew: labels and finalizers of pods that ran before stay free to change.
CHANGED = "request.operation != 'UPDATE' || dyn(object.spec) != dyn(oldObject.spec)"


def excepted(place: Place) -> str:
    """A condition under which a rule is asked at all: the object is not of the exempted place."""
    label = "object.metadata.?labels[?'app.kubernetes.io/name'].orValue('')"
    return f"!(request.namespace == '{place.namespace}' && {label} == '{place.name}')"
