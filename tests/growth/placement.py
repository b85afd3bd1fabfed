"""Models placed on a large fleet: `python -m tests.growth.placement`.

A real scheduler, controllers and API server; nodes and pods that are only objects. It prints how
long the placing took and what it cost. docs/growth.md has the method and the figures.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ci import procfs
from ci.bench import processes
from ci.pipeline import models
from ci.report import silent
from infra.models import release
from infra.platform import spaces
from tests.ci.pipeline.test_canary_on_controller import until
from tests.growth import fleet, ground
from tests.growth.fleet import Fleet
from tests.growth.ground import Cluster

PODS = f"/api/v1/namespaces/{spaces.MODELS}/pods"
SETS = f"/apis/apps/v1/namespaces/{spaces.MODELS}/replicasets"
PAGE = 500
PATIENCE_S = 3600.0
TELL_S = 15.0
"""Between two words of how far it is."""
MIB = 2**20


@dataclass
class Found:
    """What placing a fleet came to."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By what was done."""
    pods: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Replicas that stand where they may not."""
    pending: str = ""
    """What the scheduler says of one replica too many."""
    refused: str = ""
    """What the quota says of one beyond it."""
    processor_s: dict[str, float] = field(default_factory=dict)
    """Seconds of one core by process, while pods were made and placed."""
    wall_s: float = 0.0
    etcd_mib: float = 0.0

    def spans(self) -> dict[str, float]:
        """Seconds from the first pod's creation to the last one's, by what happened to it."""
        first = min(_time(pod["metadata"]["creationTimestamp"]) for pod in self.pods)
        last = {
            "created": [pod["metadata"]["creationTimestamp"] for pod in self.pods],
            "placed": [_changed(pod, "PodScheduled") for pod in self.pods],
            "ready": [_changed(pod, "Ready") for pod in self.pods],
        }
        return {what: max(map(_time, times)) - first for what, times in last.items()}


def measure(size: Fleet, requests_s: int | None) -> Found:
    """Fill a fleet of its own, then ask for one replica more, and for one more than that."""
    found = Found()
    with ground.cluster(size.environment(), requests_s=requests_s) as made:
        found.seconds["nodes, until ready"] = _seconds(lambda: _register(made, size))
        before, started = _processor(made), time.perf_counter()
        found.seconds["releases, by Pulumi"] = _seconds(lambda: _release(made, *size.releases()))
        found.seconds["then, until all ready"] = _seconds(lambda: _ready(made, size.replicas))
        found.wall_s = time.perf_counter() - started
        after = _processor(made)
        found.processor_s = {name: after[name] - before[name] for name in after}
        found.pods, found.nodes = _list(made, PODS), _list(made, "/api/v1/nodes")
        found.faults = fleet.misplaced(found.pods, found.nodes)
        found.pending = _too_many(made)
        found.refused = _beyond(made)
        found.etcd_mib = _etcd_mib(made)
    return found


def _register(made: Cluster, size: Fleet) -> None:
    total = 0
    for node in size.nodes(made.facts):
        made.server.create("/api/v1/nodes", node)
        total += 1

    def taken() -> bool:
        made.check()
        return sum(map(_usable, _list(made, "/api/v1/nodes"))) == total

    until(f"{total} nodes are ready", taken, PATIENCE_S)


def _usable(node: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
    taints = {one["key"] for one in node["spec"].get("taints", [])}
    return conditions.get("Ready") == "True" and "node.kubernetes.io/not-ready" not in taints


def _release(made: Cluster, *releases: release.Release) -> None:
    for one in releases:
        release.write(made.env, one)
    models.up(made.env, silent)


def _ready(made: Cluster, replicas: int) -> None:
    def all_are() -> bool:
        made.check()
        time.sleep(1)  # the question must not be what bounds the answer
        sets = made.server.get(SETS)["items"]
        ready = sum(int(one["status"].get("readyReplicas", 0)) for one in sets)
        tell(ready)
        return ready == replicas

    started = told = time.perf_counter()

    def tell(ready: int) -> None:
        nonlocal told
        if time.perf_counter() - told > TELL_S:
            told = time.perf_counter()
            print(f"{told - started:6.0f} s  {ready} of {replicas} are ready", file=sys.stderr)

    until(f"{replicas} replicas are ready", all_are, PATIENCE_S)


def _too_many(made: Cluster) -> str:
    """Release one replica for which no GPU is left; what the scheduler says of it."""
    extra = fleet.one("extra", "gpu", 1)
    _release(made, extra)
    return _last(made, lambda: _unplaced(made, extra.name), "the scheduler has looked at one more")


def _unplaced(made: Cluster, name: str) -> str:
    for pod in _of(made, PODS, name):
        for one in pod["status"].get("conditions", []):
            if (one["type"], one.get("reason")) == ("PodScheduled", "Unschedulable"):
                return str(one["message"])
    return ""


def _beyond(made: Cluster) -> str:
    """Release one replica for which no quota is left; what the API server says of it."""
    beyond = fleet.one("beyond", "cpu", 1)
    _release(made, beyond)
    said = _last(made, lambda: _failure(made, beyond.name), "the quota has refused one more")
    assert not _of(made, PODS, beyond.name), "the quota let a replica through"
    return said


def _failure(made: Cluster, name: str) -> str:
    for one in _of(made, SETS, name):
        for condition in one["status"].get("conditions", []):
            if condition["type"] == "ReplicaFailure":
                return str(condition["message"])
    return ""


def _last(made: Cluster, ask: Callable[[], str], what: str) -> str:
    until(what, ask, PATIENCE_S)
    return ask()


def _of(made: Cluster, collection: str, name: str) -> list[dict[str, Any]]:
    selector = f"{spaces.MODEL_LABEL}={name}"
    return list(made.server.get(f"{collection}?labelSelector={selector}")["items"])


def _list(made: Cluster, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    following = ""
    while True:
        page = made.server.get(f"{collection}?limit={PAGE}&continue={following}")
        found += page["items"]
        following = page["metadata"].get("continue", "")
        if not following:
            return found


def _processor(made: Cluster) -> dict[str, float]:
    every = procfs.every()
    return {name: every[pid].ticks / processes.TICKS for name, pid in made.processes.items()}


def _etcd_mib(made: Cluster) -> float:
    answer = made.server.ask("GET", "/metrics")[1]["message"]
    sizes = [
        float(line.rpartition(" ")[2])
        for line in answer.splitlines()
        if line.startswith("apiserver_storage_size_bytes{")
    ]
    return max(sizes) / MIB


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _changed(pod: dict[str, Any], condition: str) -> str:
    (time_,) = [
        one["lastTransitionTime"]
        for one in pod["status"]["conditions"]
        if one["type"] == condition and one["status"] == "True"
    ]
    return str(time_)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def table(size: Fleet, found: Found) -> Iterator[str]:
    """The figures, and what the checks found."""
    nodes = len(found.nodes)
    yield f"{nodes} nodes, {size.gpu_nodes} of them for {size.on_gpus} replicas with GPUs;"
    yield f"{len(found.pods)} replicas of {len(size.releases())} models"
    for what, seconds in found.seconds.items():
        yield f"{what:28}{seconds:10.1f} s"
    for what, seconds in found.spans().items():
        rate = len(found.pods) / max(seconds, 1.0)
        yield f"first created to last {what:7}{seconds:9.0f} s{rate:10.1f} a second"
    cores = os.cpu_count() or 1
    yield f"processor time in these {found.wall_s:.0f} s, of {cores} cores:"
    for name, seconds in sorted(found.processor_s.items(), key=lambda one: -one[1]):
        yield f"  {name:26}{seconds:10.1f} s{seconds / found.wall_s:10.0%} of a core"
    yield f"etcd holds {found.etcd_mib:.0f} MiB"
    yield f"replicas where they may not be: {len(found.faults)}"
    yield from (f"  {fault}" for fault in found.faults[:10])
    yield f"one too many is pending: {found.pending}"
    yield f"one beyond the quota is refused: {found.refused}"


def main() -> None:
    """Measure and print; exits 1 when a replica stands where it may not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000, help="with GPUs")
    parser.add_argument("--replicas", type=int, default=5000)
    limit = "requests a second of controllers and scheduler, each; else as Kubernetes has them"
    parser.add_argument("--requests", type=int, metavar="N", help=limit)
    options = parser.parse_args()
    size = Fleet(gpu_nodes=options.nodes, replicas=options.replicas)
    if size.on_cpus < 1:
        parser.error(f"--replicas must be above {size.on_gpus}, which fill the GPUs")
    found = measure(size, options.requests)
    print("\n".join(table(size, found)))
    if found.faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
