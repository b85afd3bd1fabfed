"""Why a workload is not ready: its failing pod and the last event, in one line each."""

from typing import Any

from infra.plugins.kubernetes.cluster import Cluster, Object
from infra.plugins.kubernetes.errors import ApiError
from infra.plugins.kubernetes.readiness import conditions

# A message that names more pods than this helps nobody.
PODS_MAX = 3
_WORKLOADS = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "Rollout"}


def explain(cluster: Cluster, live: Object) -> list[str]:
    """Lines that say what is wrong with an object and its pods; [] when nothing is known."""
    lines = [_condition(entry) for entry in conditions(live).values() if _is_bad(entry)]
    namespace = live["metadata"].get("namespace")
    try:
        for pod in _failing(cluster, live):
            lines.append(f"pod {pod['metadata']['name']}: {_state(pod)}")
            if event := _last_event(cluster, namespace, pod["metadata"]["uid"]):
                lines.append(f"  last event: {event}")
        for uid in [live["metadata"]["uid"], *_replica_sets(cluster, live)]:
            if event := _last_event(cluster, namespace, uid, warnings=True):
                lines.append(f"last warning: {event}")
    except ApiError as error:
        # The explanation is an extra; the failure that it explains is reported in any case.
        lines.append(f"(its pods and events could not be read: {error})")
    return list(dict.fromkeys(lines))


def _is_bad(entry: dict[str, Any]) -> bool:
    good = "False" if entry["type"] in ("ReplicaFailure", "Failed", "InvalidSpec") else "True"
    return bool(entry.get("status") != good and entry.get("message"))


def _condition(entry: dict[str, Any]) -> str:
    return f"{entry['type']} is {entry.get('status')}: {entry['message']}"


def _selector(live: Object) -> dict[str, str]:
    found = live.get("spec", {}).get("selector") or {}
    return dict(found.get("matchLabels") or {})


def _failing(cluster: Cluster, live: Object) -> list[Object]:
    if live["kind"] == "Pod":
        return [live]
    selector = _selector(live)
    if live["kind"] not in _WORKLOADS or not selector:
        return []
    pods = cluster.items(cluster.kind("v1", "Pod"), live["metadata"].get("namespace"), selector)
    bad = [
        pod
        for pod in pods
        if conditions(pod).get("Ready", {}).get("status") != "True"
        and pod.get("status", {}).get("phase") != "Succeeded"
    ]
    # Newest first: those of the revision that is being rolled out.
    bad.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    return bad[:PODS_MAX]


def _replica_sets(cluster: Cluster, live: Object) -> list[str]:
    """Uids of the replica sets of a Deployment or Rollout: events tell of pods that are refused."""
    if live["kind"] not in ("Deployment", "Rollout"):
        return []
    kind = cluster.kind("apps/v1", "ReplicaSet")
    found = cluster.items(kind, live["metadata"].get("namespace"), _selector(live))
    return [
        entry["metadata"]["uid"]
        for entry in found
        if any(
            owner.get("uid") == live["metadata"]["uid"]
            for owner in entry["metadata"].get("ownerReferences") or []
        )
    ]


def _state(pod: Object) -> str:
    """What keeps a pod from being ready."""
    status = pod.get("status", {})
    scheduled = conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"not scheduled: {scheduled.get('message')}"
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for container in containers:
        name, state = container["name"], container.get("state", {})
        last = container.get("lastState", {}).get("terminated")
        if found := state.get("waiting"):
            text = f"container {name} is waiting: {found.get('reason')}"
            text += f" ({found['message']})" if found.get("message") else ""
            return text + (f"; before, it {_ended(last)}" if last else "")
        if (found := state.get("terminated")) and found.get("exitCode"):
            return f"container {name} {_ended(found)}"
        if state.get("running") and not container.get("ready", True):
            return f"container {name} runs and is not ready"
    return str(status.get("message") or f"phase {status.get('phase', 'unknown')}")


def _ended(terminated: dict[str, Any]) -> str:
    text = f"ended with code {terminated.get('exitCode')} ({terminated.get('reason')})"
    return text + (f": {terminated['message'].strip()}" if terminated.get("message") else "")


def _last_event(
    cluster: Cluster, namespace: str | None, uid: str, *, warnings: bool = False
) -> str | None:
    selector = f"involvedObject.uid={uid}" + (",type=Warning" if warnings else "")
    events = cluster.items(
        cluster.kind("v1", "Event"), namespace or "default", fieldSelector=selector
    )
    if not events:
        return None
    last = max(events, key=_time)
    return f"{last.get('reason')}: {str(last.get('message', '')).strip()}"


def _time(event: Object) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")
