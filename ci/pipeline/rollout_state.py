"""One roll-out as the API server tells it: its Rollout, ReplicaSets and weights."""

from datetime import datetime
from typing import Any, Literal

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import BaseModel

from ci.pipeline.cluster import PATIENCE_S
from infra.contract import Contract
from infra.models import labels
from infra.refusal import Refusal

GROUP, VERSION, ROLLOUTS = "argoproj.io", "v1alpha1", "rollouts"
HASH = "rollouts-pod-template-hash"
CONTROLLER = "rollouts-controller"
"""The name under which Argo Rollouts changes fields."""


class VersionWeight(BaseModel, frozen=True):
    """A version that is there, and the percent of requests that it gets."""

    version: str
    digest: str
    weight: int


class Observed(BaseModel, frozen=True):
    """A roll-out at one moment."""

    name: str
    phase: Literal["Healthy", "Progressing", "Paused", "Degraded"]
    message: str
    digest: str
    """What is being rolled out; not necessarily what gets requests."""
    versions: list[VersionWeight]
    ready: int
    """Ready pods of ``digest``."""
    wanted: int
    settled: bool
    """Whether ``digest`` is the stable version: no canary is under way."""


class Facts(BaseModel, frozen=True, arbitrary_types_allowed=True):
    """What the API server says of one roll-out."""

    rollout: dict[str, Any]
    sets: list[Any]
    weight: int
    moved: datetime
    """When the controller last changed where requests go, by the API server's clock."""

    @property
    def status(self) -> dict[str, Any]:
        """The Rollout's status; empty until the controller has seen it."""
        found: dict[str, Any] = self.rollout.get("status") or {}
        return found

    @property
    def current(self) -> str:
        """Hash of the pods that are being rolled out."""
        return str(self.status.get("currentPodHash", ""))

    @property
    def stable(self) -> str:
        """Hash of the pods that got all requests last."""
        return str(self.status.get("stableRS", ""))

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The canary's steps; none for a release that gets all requests."""
        found: list[dict[str, Any]] = self.rollout["spec"]["strategy"]["canary"].get("steps") or []
        return found

    @property
    def at_weight(self) -> bool:
        """Whether the split is what the last step asks for."""
        wanted = [step["setWeight"] for step in self.steps if "setWeight" in step]
        return not wanted or self.weight == wanted[-1]

    @property
    def beyond_pause(self) -> bool:
        """Whether all steps are done, and only pods are still to be replaced."""
        return bool(self.steps) and self.status.get("currentStepIndex", 0) >= len(self.steps)


def ask(connection: client.ApiClient, facts: Contract, name: str) -> Facts:
    """Ask for one roll-out; raises Refusal when the environment has no such model."""
    found = find(connection, name)
    if found is None:
        raise Refusal(
            f"model in {facts.environment}",
            name,
            "nothing of this name runs there",
            f"Ship it: `yard ship {name} --to {facts.environment}`.",
        )
    return found


def find(connection: client.ApiClient, name: str) -> Facts | None:
    """Ask for one roll-out; None when a part of it is not there: never made, or being deleted."""
    try:
        rollout = custom(connection).get_namespaced_custom_object(
            GROUP, VERSION, labels.NAMESPACE, ROLLOUTS, name, _request_timeout=PATIENCE_S
        )
        split = custom(connection).get_namespaced_custom_object(
            "traefik.io",
            "v1alpha1",
            labels.NAMESPACE,
            "traefikservices",
            name,
            _request_timeout=PATIENCE_S,
        )
        services: list[Any] = [
            client.CoreV1Api(connection).read_namespaced_service(
                service, labels.NAMESPACE, _request_timeout=PATIENCE_S
            )
            for service in (labels.stable(name), labels.canary(name))
        ]
    except ApiException as error:
        if error.status != 404:
            raise
        return None
    sets = (
        client.AppsV1Api(connection)
        .list_namespaced_replica_set(
            labels.NAMESPACE,
            label_selector=f"{labels.MODEL}={name}",
            _request_timeout=PATIENCE_S,
        )
        .items
    )
    (weight,) = [
        service["weight"]
        for service in split["spec"]["weighted"]["services"]
        if service["name"] == labels.canary(name)
    ]
    changes = [datetime.fromisoformat(split["metadata"]["creationTimestamp"])]
    changes += [
        datetime.fromisoformat(entry["time"])
        for entry in split["metadata"].get("managedFields", [])
        if entry["manager"] == CONTROLLER
    ]
    changes += [
        entry.time
        for service in services
        for entry in service.metadata.managed_fields or []
        if entry.manager == CONTROLLER
    ]
    return Facts(rollout=rollout, sets=sets, weight=weight, moved=max(changes))


def observed(name: str, found: Facts) -> Observed:
    """What the facts mean, as the plugin's `status` reads them."""
    latest = _set(found, found.current)
    template = found.rollout["spec"]["template"]
    seen = str(found.status.get("observedGeneration")) == str(
        found.rollout["metadata"]["generation"]
    )
    # The controller cleared the conditions of a pause, but has not acted on it yet.
    going_on = found.status.get("controllerPause") and not found.status.get("pauseConditions")
    phase = found.status.get("phase", "Progressing") if seen and not going_on else "Progressing"
    return Observed(
        name=name,
        phase=phase,
        message=found.status.get("message", "") if seen else "waiting for Argo Rollouts",
        digest=_digest(template["spec"]["containers"][0]["image"]),
        versions=versions(found),
        ready=(latest.status.ready_replicas or 0) if latest else 0,
        wanted=(latest.spec.replicas or 0) if latest else 0,
        settled=bool(seen and found.stable and found.current == found.stable),
    )


def versions(found: Facts) -> list[VersionWeight]:
    """The versions that are there, the stable one first, with their shares."""
    if found.current == found.stable or not found.stable:
        shares = [(found.current, 100)]
    else:
        shares = [(found.stable, 100 - found.weight), (found.current, found.weight)]
    return [
        VersionWeight(
            version=one.spec.template.metadata.labels[labels.VERSION],
            digest=_digest(one.spec.template.spec.containers[0].image),
            weight=weight,
        )
        for pod_hash, weight in shares
        if (one := _set(found, pod_hash)) is not None
    ]


def _set(found: Facts, pod_hash: str) -> Any:
    matching = [one for one in found.sets if one.metadata.labels.get(HASH) == pod_hash]
    return matching[0] if matching else None


def pods(connection: client.ApiClient, name: str, pod_hash: str) -> list[Any]:
    """Pods of one version."""
    listed = client.CoreV1Api(connection).list_namespaced_pod(
        labels.NAMESPACE,
        label_selector=f"{labels.MODEL}={name},{HASH}={pod_hash}",
        _request_timeout=PATIENCE_S,
    )
    return list(listed.items)


def custom(connection: client.ApiClient) -> Any:
    """The API of custom resources, which the client gives no types."""
    return client.CustomObjectsApi(connection)


def _digest(image: str) -> str:
    return image.rsplit("@", 1)[-1]
