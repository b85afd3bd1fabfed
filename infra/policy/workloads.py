"""Faults of a pod as a preview sees it: in the inputs of the resource that is, or makes, the pod.

Each function gives one text per fault, none when all is well.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.policy.inputs import UNKNOWN, at, items

Pod = dict[str, Any]

KIND = "modelyard.dev/kind"
ACCELERATED = ("gpu", "neuron")
"""Label of nodes, and its values on those of accelerator pools (infra/contract.py)."""
ACCELERATORS = r"^(nvidia\.com|amd\.com|gpu\.intel\.com|habana\.ai|aws\.amazon\.com)/"
"""Resources that device plugins advertise: GPUs, their slices, Neuron cores."""
DIGEST = r"@sha256:[0-9a-f]{64}$"
BOUNDS = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
"""No limit on cores: it throttles, and requests already share a busy node fairly."""
VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
"""What Pod Security `restricted` lets a pod mount: nothing of its node."""


def pod(inputs: dict[str, Any]) -> Pod | None:
    """The pod inside a Kubernetes object's inputs: its own, or the one that it makes."""
    spec = at(inputs, "spec")
    for path in ((), ("template", "spec"), ("jobTemplate", "spec", "template", "spec")):
        found = at(spec, *path)
        if isinstance(found, dict) and "containers" in found:
            return found
    return None


def _containers(found: Pod, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in kinds or ("initContainers", "containers", "ephemeralContainers"):
        for one in items(found.get(kind)):
            if isinstance(one, dict):
                yield str(one.get("name")), one


def images(found: Pod) -> list[str]:
    """Images that are not named by digest."""
    return [
        f"{name}: image {one.get('image')}"
        for name, one in _containers(found)
        if one.get("image") is not UNKNOWN and not re.search(DIGEST, str(one.get("image")))
    ]


def bounds(found: Pod) -> list[str]:
    """Requests and limits that are missing."""
    return [
        f"{name}: no resources.{'.'.join(bound)}"
        for bound in BOUNDS
        for name, one in _containers(found, "initContainers", "containers")
        if at(one, "resources", *bound) is None
    ]


def probes(found: Pod) -> list[str]:
    """Probes that are missing where a container serves."""
    if found.get("restartPolicy") in ("Never", "OnFailure"):
        return []  # it runs to its end; nobody waits for it to answer
    return [
        f"{name}: no {probe}"
        for probe in ("readinessProbe", "livenessProbe")
        for name, one in _containers(found, "containers")
        if one.get(probe) is None
    ]


def confinement(found: Pod) -> list[str]:
    """Whatever lets a container gain rights, be root, or see its node."""
    faults = [f"{key} is on" for key in ("hostNetwork", "hostPID", "hostIPC") if found.get(key)]
    for volume in items(found.get("volumes")):
        kinds = [kind for kind in volume if kind != "name"] if isinstance(volume, dict) else []
        faults += [f"volume {volume['name']}: {kind}" for kind in kinds if kind not in VOLUMES]
    for name, one in _containers(found):
        faults += [f"{name}: {fault}" for fault in _looseness(found, one)]
    for name, one in _containers(found, "initContainers", "containers"):
        if at(one, "securityContext", "readOnlyRootFilesystem") not in (True, UNKNOWN):
            faults.append(f"{name}: readOnlyRootFilesystem is not true")
    return faults


def _looseness(found: Pod, container: dict[str, Any]) -> list[str]:
    """Faults of a container's security context, where the pod's own fills its gaps."""
    own, whole = at(container, "securityContext"), at(found, "securityContext")

    def either(*path: str) -> Any:
        value = at(own, *path)
        return at(whole, *path) if value is None else value

    user = either("runAsUser")
    checks = {
        "privileged": at(own, "privileged") in (None, False, UNKNOWN),
        "allowPrivilegeEscalation is not false": at(own, "allowPrivilegeEscalation")
        in (False, UNKNOWN),
        "capabilities.drop is not ALL": at(own, "capabilities", "drop") is UNKNOWN
        or "ALL" in items(at(own, "capabilities", "drop")),
        "capabilities are added": not items(at(own, "capabilities", "add")),
        "runAsNonRoot is not true": either("runAsNonRoot") in (True, UNKNOWN),
        "runAsUser is not a number over 0": user is UNKNOWN
        or (isinstance(user, int | float) and user > 0),
        "no seccompProfile": either("seccompProfile", "type")
        in ("RuntimeDefault", "Localhost", UNKNOWN),
        "hostPort": not any(at(port, "hostPort") for port in items(container.get("ports"))),
    }
    return [fault for fault, good in checks.items() if not good]


def gpus(found: Pod) -> list[str]:
    """GPUs that are asked for outside a GPU pool."""
    if at(found, "nodeSelector", KIND) in (*ACCELERATED, UNKNOWN):
        return []
    return [
        f"{name}: asks for {resource}"
        for name, one in _containers(found, "initContainers", "containers")
        for resource in dict.fromkeys(
            [*(at(one, "resources", "limits") or {}), *(at(one, "resources", "requests") or {})]
        )
        if re.match(ACCELERATORS, resource)
    ]
