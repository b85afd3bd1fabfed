"""One roll-out as the API server tells it: its Rollout, ReplicaSets and weights."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import BaseModel

from ci.pipeline import cluster
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


class Facts(BaseModel, frozen=True):
    """What the API server says of one roll-out."""

    rollout: dict[str, Any]
    sets: list[dict[str, Any]]
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
    return known(find_all(connection, name), facts, name)


def known(there: Mapping[str, Facts], facts: Contract, name: str) -> Facts:
    """One of the roll-outs that are there; raises Refusal when it is none of them."""
    if name not in there:
        raise Refusal(
            f"model in {facts.environment}",
            name,
            "nothing of this name runs there",
            f"Ship it: `yard ship {name} --to {facts.environment}`.",
        )
    return there[name]


def find_all(connection: client.ApiClient, name: str = "") -> dict[str, Facts]:
    """Ask for the roll-outs of all models, by name, or of one: four lists whatever their number.

    Left out is a roll-out of which a part is not there.
    """
    selector = f"{labels.MODEL}={name}" if name else labels.MODEL

    def listed(api: str, plural: str) -> dict[str, dict[str, Any]]:
        path = f"{api}/namespaces/{labels.NAMESPACE}/{plural}"
        found = cluster.items(connection, path, selector)
        return {one["metadata"]["name"]: one for one in found}

    try:
        rollouts = listed(f"/apis/{GROUP}/{VERSION}", ROLLOUTS)
        splits = listed("/apis/traefik.io/v1alpha1", "traefikservices")
    except ApiException as error:
        if error.status != 404:
            raise
        return {}  # the platform, which brings these kinds, is not there yet
    services = listed("/api/v1", "services")
    sets: dict[str, list[dict[str, Any]]] = {}
    for one in listed("/apis/apps/v1", "replicasets").values():
        sets.setdefault(one["metadata"]["labels"][labels.MODEL], []).append(one)
    return {
        model: Facts(
            rollout=rollout,
            sets=sets.get(model, []),
            weight=_weight(splits[model], model),
            moved=_moved(splits[model], *(services[each] for each in _services(model))),
        )
        for model, rollout in sorted(rollouts.items())
        if model in splits and all(each in services for each in _services(model))
    }


def _services(name: str) -> tuple[str, str]:
    return labels.stable(name), labels.canary(name)


def _weight(split: dict[str, Any], name: str) -> int:
    (weight,) = [
        int(service["weight"])
        for service in split["spec"]["weighted"]["services"]
        if service["name"] == labels.canary(name)
    ]
    return weight


def _moved(split: dict[str, Any], *services: dict[str, Any]) -> datetime:
    changes = [split["metadata"]["creationTimestamp"]]
    changes += [
        entry["time"]
        for one in (split, *services)
        for entry in one["metadata"].get("managedFields", [])
        if entry["manager"] == CONTROLLER
    ]
    return max(datetime.fromisoformat(each) for each in changes)


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
        ready=latest["status"].get("readyReplicas", 0) if latest else 0,
        wanted=latest["spec"].get("replicas", 0) if latest else 0,
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
            version=one["spec"]["template"]["metadata"]["labels"][labels.VERSION],
            digest=_digest(one["spec"]["template"]["spec"]["containers"][0]["image"]),
            weight=weight,
        )
        for pod_hash, weight in shares
        if (one := _set(found, pod_hash)) is not None
    ]


def _set(found: Facts, pod_hash: str) -> dict[str, Any] | None:
    matching = [one for one in found.sets if one["metadata"]["labels"].get(HASH) == pod_hash]
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
