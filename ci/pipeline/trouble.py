"""Why pods are not ready, in the words of the kubelet, the scheduler and the last event."""

import time
from typing import Any

from kubernetes import client

from ci.pipeline.cluster import PATIENCE_S
from infra.models import release

HOPELESS = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
"""Reasons for waiting that time alone seldom cures."""

RESTARTS = 2
"""Ends of a container after which it is thought to end again."""

# A new release begins with the conditions of the old one, and pods may fail once before they start.
DEGRADED_S = 20.0
HOPELESS_S = 60.0


class Patience:
    """How long one roll-out has been without hope."""

    def __init__(self) -> None:
        self._started = self._degraded = self._hopeless = time.monotonic()

    def is_over(self, phase: str, hopeless: bool) -> bool:
        """Take a look into account, and say whether it was the last."""
        now = time.monotonic()
        self._degraded = self._degraded if phase == "Degraded" else now
        self._hopeless = self._hopeless if hopeless else now
        return (
            now - self._degraded > DEGRADED_S
            or now - self._hopeless > HOPELESS_S
            or now - self._started > release.DEADLINE_SECONDS
        )


def hopeless(pods: list[Any]) -> bool:
    """Whether a pod waits for something that time alone seldom brings, or ends again and again."""
    return any(
        _state(status, "waiting").get("reason") in HOPELESS
        or (not status.ready and status.restart_count >= RESTARTS)
        for pod in pods
        for status in _containers(pod)
    )


def explain(connection: client.ApiClient, pods: list[Any]) -> str:
    """One line per pod that is not ready, with its reason and its last event."""
    return "; ".join(
        f"pod {pod.metadata.name}: {_reason(pod)}{_event(connection, pod)}"
        for pod in pods
        if not ready(pod)
    )


def ready(pod: Any) -> bool:
    """Whether the pod takes requests."""
    return any(
        condition.type == "Ready" and condition.status == "True"
        for condition in pod.status.conditions or []
    )


def _reason(pod: Any) -> str:
    for status in _containers(pod):
        waiting, ended = _state(status, "waiting"), _state(status, "terminated")
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{_sentence(waiting)}{_last_end(status)}"
        if ended:
            return f"ended with code {ended.get('exit_code')}, {_sentence(ended)}"
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status != "True":
            return f"{condition.reason}: {condition.message}"
    return f"{pod.status.phase}, not ready"


def _last_end(status: Any) -> str:
    ended = status.last_state and status.last_state.terminated
    return (
        f", ended {status.restart_count} times, last with code {ended.exit_code}" if ended else ""
    )


def _event(connection: client.ApiClient, pod: Any) -> str:
    events = (
        client.CoreV1Api(connection)
        .list_namespaced_event(
            pod.metadata.namespace,
            field_selector=f"involvedObject.uid={pod.metadata.uid},type=Warning",
            _request_timeout=PATIENCE_S,
        )
        .items
    )
    if not events:
        return ""
    last = max(events, key=lambda event: str(event.last_timestamp or event.event_time or ""))
    return f" (last event: {last.reason}: {last.message})"


def _containers(pod: Any) -> list[Any]:
    return list(pod.status.container_statuses or [])


def _state(status: Any, which: str) -> dict[str, Any]:
    state = getattr(status.state, which) if status.state else None
    return {} if state is None else dict(state.to_dict())


def _sentence(state: dict[str, Any]) -> str:
    return ": ".join(str(part) for part in (state.get("reason"), state.get("message")) if part)
