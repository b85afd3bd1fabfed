"""Waiting: until an object is ready, until it is gone; never longer than the timeout."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from infra.plugins.kubernetes import live, objects, pods, readiness
from infra.plugins.kubernetes.apply import Interrupted, Say
from infra.plugins.kubernetes.cluster import Cluster, Kind, Object
from infra.plugins.kubernetes.errors import ClusterError
from infra.plugins.kubernetes.objects import Reference
from infra.plugins.kubernetes.readiness import Verdict

DEFAULT_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.5


class NotReady(Exception):  # noqa: N818 - it is a state of the object
    """The object exists and does not become ready."""

    def __init__(self, last: Object, reasons: list[str]) -> None:
        self.last, self.reasons = last, reasons
        super().__init__("\n".join(reasons))


def timeout_seconds(requested: float, tree: dict[str, Any]) -> float:
    """The timeout: the engine's (custom_timeouts), else the annotation's, else ten minutes."""
    if requested > 0:
        return requested
    written = objects.annotation(tree, objects.TIMEOUT_SECONDS)
    return float(written) if written and written.isdigit() else DEFAULT_SECONDS


def until_ready(
    cluster: Cluster,
    reference: Reference,
    applied: Object,
    seconds: float,
    stop: threading.Event,
    say: Say,
) -> Object:
    """Wait until an applied object is ready, and return it. Raises NotReady with the reasons."""
    if not readiness.has_rule(applied):
        return applied
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    end = time.monotonic() + seconds
    pause, told = _FIRST_PAUSE, ""
    last = applied
    while True:
        found = live.find(cluster, reference)
        if found is None:
            if applied["kind"] == "Job":
                # ttlSecondsAfterFinished may remove a job that succeeded.
                return last
            raise ClusterError(f"{reference} was deleted by somebody else while it came up.")
        last = found
        judgement = readiness.judge(cluster, last, since=since)
        if judgement.verdict is Verdict.READY:
            return last
        if judgement.verdict is Verdict.FAILED:
            raise NotReady(last, [f"{reference}: {judgement.text}", *pods.explain(cluster, last)])
        if time.monotonic() > end:
            summary = f"{reference} is not ready after {seconds:g} s: {judgement.text}"
            raise NotReady(last, [summary, *pods.explain(cluster, last)])
        if judgement.text != told:
            told = judgement.text
            say(f"waiting: {told}")
        if stop.wait(pause):
            summary = f"{reference}: interrupted while {judgement.text}"
            raise NotReady(last, [summary, *pods.explain(cluster, last)])
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def until_gone(
    cluster: Cluster,
    kind: Kind,
    reference: Reference,
    uid: str,
    seconds: float,
    stop: threading.Event,
    say: Say,
) -> None:
    """Wait until the object with this uid is gone. Raises ClusterError with what holds it."""
    end = time.monotonic() + seconds
    pause, told = _FIRST_PAUSE, ""
    while True:
        found = cluster.get(kind, reference.namespace, reference.name)
        if found is None or found["metadata"]["uid"] != uid:
            return
        holds = _holds(found)
        if time.monotonic() > end:
            raise ClusterError(
                f"{reference} is not gone after {seconds:g} s: {holds or 'no reason is given'}. "
                "See why its finalizers are not served, or raise custom_timeouts.delete."
            )
        if holds and holds != told:
            told = holds
            say(f"waiting until it is gone: {holds}")
        if stop.wait(pause):
            raise Interrupted(f"{reference}: interrupted while it was being deleted.")
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _holds(found: Object) -> str:
    """What keeps an object that is being deleted."""
    finalizers = found["metadata"].get("finalizers") or []
    reasons = [f"finalizers {', '.join(finalizers)}"] if finalizers else []
    reasons += [
        f"{entry['type']}: {entry['message']}"
        for entry in readiness.conditions(found).values()
        if found["kind"] == "Namespace" and entry.get("status") == "True"
    ]
    return "; ".join(reasons)
