"""When an object is ready: one rule per kind, judged from the live object alone.

Kinds without a rule are ready when they exist.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from infra.plugins.kubernetes.cluster import Cluster, Object


class Verdict(Enum):
    """How far an object is."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True)
class Judgement:
    """A verdict and the words for it."""

    verdict: Verdict
    text: str = ""


READY = Judgement(Verdict.READY)


def waiting(text: str) -> Judgement:
    """Not yet, and what is missing."""
    return Judgement(Verdict.WAITING, text)


def failed(text: str) -> Judgement:
    """Never, and why."""
    return Judgement(Verdict.FAILED, text)


def judge(cluster: Cluster, live: Object, *, since: str) -> Judgement:
    """Judge a live object. ``since`` is when waiting began (RFC 3339); older failures are over."""
    group = str(live.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get((group, str(live.get("kind"))))
    if live.get("metadata", {}).get("deletionTimestamp"):
        return failed("it is being deleted")
    return READY if rule is None else rule(cluster, live, since)


def has_rule(live: Object) -> bool:
    """Whether being ready differs from existing."""
    group = str(live.get("apiVersion", "")).rpartition("/")[0]
    return (group, str(live.get("kind"))) in _RULES


def conditions(live: Object) -> dict[str, dict[str, Any]]:
    """The conditions of a status by type."""
    return {entry["type"]: entry for entry in live.get("status", {}).get("conditions") or []}


def _observed(live: Object) -> bool:
    generation = live["metadata"].get("generation", 0)
    return bool(live.get("status", {}).get("observedGeneration", 0) >= generation)


def _deployment(_cluster: Cluster, live: Object, since: str) -> Judgement:
    spec, status = live["spec"], live.get("status", {})
    if not _observed(live):
        return waiting("the controller has not seen it yet")
    progressing = conditions(live).get("Progressing", {})
    if (
        progressing.get("reason") == "ProgressDeadlineExceeded"
        and progressing.get("lastUpdateTime", "") > since
    ):
        return failed(str(progressing.get("message", "its progress deadline passed")))
    wanted = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return waiting(f"{updated} of {wanted} pods updated")
    if status.get("replicas", 0) > updated:
        return waiting(f"{status['replicas'] - updated} old pods have not gone yet")
    if available < wanted:
        return waiting(f"{available} of {wanted} pods available")
    return READY


def _replica_set(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    wanted = live["spec"].get("replicas", 1)
    available = live.get("status", {}).get("availableReplicas", 0)
    if not _observed(live) or available < wanted:
        return waiting(f"{available} of {wanted} pods available")
    return READY


def _stateful_set(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    spec, status = live["spec"], live.get("status", {})
    if not _observed(live):
        return waiting("the controller has not seen it yet")
    wanted = spec.get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    if ready < wanted:
        return waiting(f"{ready} of {wanted} pods ready")
    strategy = spec.get("updateStrategy", {})
    if strategy.get("type") == "OnDelete":
        return READY
    partition = strategy.get("rollingUpdate", {}).get("partition", 0)
    updated = status.get("updatedReplicas", 0)
    current = status.get("currentRevision") == status.get("updateRevision")
    if not current and updated < wanted - partition:
        return waiting(f"{updated} of {wanted - partition} pods updated")
    return READY


def _daemon_set(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    status = live.get("status", {})
    if not _observed(live):
        return waiting("the controller has not seen it yet")
    wanted = status.get("desiredNumberScheduled", 0)
    updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    rolling = live["spec"].get("updateStrategy", {}).get("type") != "OnDelete"
    if rolling and updated < wanted:
        return waiting(f"{updated} of {wanted} nodes have the updated pod")
    if available < wanted:
        return waiting(f"{available} of {wanted} nodes have an available pod")
    return READY


def _job(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    known = conditions(live)
    if known.get("Failed", {}).get("status") == "True":
        return failed(f"{known['Failed'].get('reason')}: {known['Failed'].get('message')}")
    if known.get("Complete", {}).get("status") == "True" or live["spec"].get("suspend"):
        return READY
    done = live.get("status", {}).get("succeeded", 0)
    return waiting(f"{done} of {live['spec'].get('completions', 1)} pods succeeded")


def _pod(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    phase = live.get("status", {}).get("phase", "Pending")
    if phase == "Failed":
        return failed(str(live["status"].get("message") or "the pod failed"))
    if phase == "Succeeded" or conditions(live).get("Ready", {}).get("status") == "True":
        return READY
    return waiting(f"the pod is {phase} and not ready")


def _service(cluster: Cluster, live: Object, _since: str) -> Judgement:
    spec = live["spec"]
    if spec.get("type") == "LoadBalancer" and not live.get("status", {}).get(
        "loadBalancer", {}
    ).get("ingress"):
        return waiting("the load balancer has no address")
    selector = spec.get("selector")
    if not selector or spec.get("type") == "ExternalName":
        return READY
    namespace, name = live["metadata"]["namespace"], live["metadata"]["name"]
    pods = cluster.items(cluster.kind("v1", "Pod"), namespace, selector)
    ready = [
        pod
        for pod in pods
        if conditions(pod).get("Ready", {}).get("status") == "True"
        and not pod["metadata"].get("deletionTimestamp")
    ]
    # A Service may come before its pods: it has nothing to wait for until one is ready.
    if not ready:
        return READY
    slices = cluster.items(
        cluster.kind("discovery.k8s.io/v1", "EndpointSlice"),
        namespace,
        {"kubernetes.io/service-name": name},
    )
    endpoints = [entry for found in slices for entry in found.get("endpoints") or []]
    if any(entry.get("conditions", {}).get("ready") is not False for entry in endpoints):
        return READY
    return waiting("its pods are ready and it has no endpoint yet")


def _claim(cluster: Cluster, live: Object, _since: str) -> Judgement:
    phase = live.get("status", {}).get("phase", "Pending")
    if phase == "Bound":
        return READY
    if phase == "Lost":
        return failed("the volume of the claim is lost")
    storage = live["spec"].get("storageClassName")
    if storage:
        kind = cluster.kind("storage.k8s.io/v1", "StorageClass")
        found = cluster.get(kind, None, storage)
        # Such a claim is bound when a pod asks for it: waiting here would wait for ever.
        if found and found.get("volumeBindingMode") == "WaitForFirstConsumer":
            return READY
        if found is None:
            return waiting(f"its storage class {storage} does not exist")
    return waiting(f"the claim is {phase}")


def _namespace(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    phase = live.get("status", {}).get("phase")
    return READY if phase == "Active" else waiting(f"the namespace is {phase}")


def _definition(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    known = conditions(live)
    if known.get("NamesAccepted", {}).get("status") == "False":
        return failed(str(known["NamesAccepted"].get("message")))
    established = known.get("Established", {}).get("status") == "True"
    return READY if established else waiting("the API server does not serve it yet")


def _api_service(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    available = conditions(live).get("Available", {})
    if available.get("status") == "True":
        return READY
    return waiting(f"the API is not available: {available.get('message', 'not checked yet')}")


def _rollout(_cluster: Cluster, live: Object, _since: str) -> Judgement:
    """Argo Rollouts: healthy, or paused on purpose at a canary step."""
    status = live.get("status", {})
    # Argo writes the generation as a string.
    if str(status.get("observedGeneration", "")) != str(live["metadata"].get("generation")):
        return waiting("the Rollouts controller has not seen it yet")
    phase, message = status.get("phase"), str(status.get("message") or "")
    if phase in ("Healthy", "Paused"):
        return READY
    if phase == "Degraded":
        return failed(f"the rollout is degraded: {message}")
    return waiting(f"the rollout is {phase or 'new'}{': ' + message if message else ''}")


_RULES: dict[tuple[str, str], Callable[[Cluster, Object, str], Judgement]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Namespace"): _namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("argoproj.io", "Rollout"): _rollout,
}
