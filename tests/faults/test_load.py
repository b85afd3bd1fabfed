"""What a death costs while predictions are asked for without a break: how many do not come."""

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.faults.load import Load
from tests.faults.victims import pods, processes, ready, restarts, strike
from tests.system.house import House, Kubernetes, until

pytestmark = pytest.mark.faults

DIGITS = "modelyard.dev/model=digits"
CALLERS = 6


def named(component: str) -> str:
    return f"app.kubernetes.io/name={component}"


@dataclass(frozen=True, kw_only=True)
class Death:
    """Who dies, and how many predictions may be lost with it."""

    namespace: str
    selector: str
    container: str | None = None
    deleted: bool = False
    """By the API server and in good order, as a drain does it; else by SIGKILL."""
    lost: int = 0
    """At most those in flight: one for each caller."""


DEATHS = {
    "a model's process": Death(namespace="models", selector=DIGITS),
    "a model's pod, deleted": Death(namespace="models", selector=DIGITS, deleted=True),
    "the gateway's process": Death(namespace="gateway", selector=named("traefik"), lost=CALLERS),
    "the gateway's pod, deleted": Death(
        namespace="gateway", selector=named("traefik"), deleted=True, lost=CALLERS
    ),
    "the doorkeeper's process": Death(namespace="gateway", selector=named("doorkeeper")),
    "the name service": Death(namespace="kube-system", selector="k8s-app=kube-dns"),
    "the registry": Death(namespace="registry", selector=named("registry")),
    "Prometheus": Death(namespace="monitoring", selector=named("prometheus")),
    "Argo Rollouts": Death(namespace="delivery", selector=named("argo-rollouts")),
    "the API server": Death(namespace="kube-system", selector="component=kube-apiserver"),
}


@pytest.mark.parametrize("name", DEATHS)
def test_a_death_costs_no_more_than_what_was_in_flight(
    house: House, kubernetes: Kubernetes, example: dict[str, Any], name: str
) -> None:
    death = DEATHS[name]
    before = pods(kubernetes, death.namespace, death.selector)
    until("all are ready before", lambda: all_ready(kubernetes, death, len(before)))
    with Load(house, {"images": example["images"][:1]}, callers=CALLERS) as load:
        until("predictions come", lambda: load.good() >= 60)
        assert load.failed == []
        struck = load.now
        victim = before[0]
        if death.deleted:
            path = f"/api/v1/namespaces/{death.namespace}/pods/{victim['metadata']['name']}"
            kubernetes.delete(path)
        else:
            strike(victim, death.container)
        until(
            "as many as before are ready, and one of them is new",
            lambda: answered(lambda: replaced(kubernetes, death, victim, len(before))),
            seconds=240,
        )
        until("predictions still come", lambda: load.good(since=load.now - 3) >= 30)
    print(f"{name}: {load.summary(struck)}, all ready after {load.now - struck:.0f} s")

    assert len(load.failed) <= death.lost, load.failed[:5]


def answered(ask: Callable[[], bool]) -> bool:
    """What the API server says; False while it is the one that died, and just after."""
    try:
        return ask()
    except (httpx.TransportError, AssertionError):
        return False


def all_ready(kubernetes: Kubernetes, death: Death, number: int) -> bool:
    found = pods(kubernetes, death.namespace, death.selector)
    return len(found) >= number and all(ready(pod) for pod in found)


def replaced(kubernetes: Kubernetes, death: Death, victim: dict[str, Any], number: int) -> bool:
    found = pods(kubernetes, death.namespace, death.selector)
    same = [pod for pod in found if pod["metadata"]["uid"] == victim["metadata"]["uid"]]
    again = all(restarts(pod) > restarts(victim) for pod in same) if same else death.deleted
    return again and all_ready(kubernetes, death, number)


def test_the_load_notices_a_prediction_that_does_not_come(
    house: House, kubernetes: Kubernetes, example: dict[str, Any]
) -> None:
    """The measurement itself: with every pod of the model frozen, predictions fail."""
    frozen = list(
        itertools.chain.from_iterable(processes(pod) for pod in pods(kubernetes, "models", DIGITS))
    )
    try:
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        with Load(house, {"images": example["images"][:1]}, rate=2, callers=2) as load:
            until("a prediction is missed", lambda: bool(load.failed), seconds=60)
    finally:
        for process in frozen:
            os.kill(process, signal.SIGCONT)

    assert {one.fault.split(":")[0] for one in load.failed} <= {"502", "503", "504"}
