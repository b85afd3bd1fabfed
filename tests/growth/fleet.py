"""A fleet: a cluster of hosts with many GPU nodes, and releases that fill it to the last GPU."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from infra import environment
from infra.contract import Contract
from infra.environment import Environment, Pool, Quota
from infra.models.release import Release, Replicas, Resources
from tests.growth import ground
from tests.infra.models import samples

GPUS = 8
GPUS_PER_REPLICA = 2
OTHER = "gpu-other"
"""A second pool: its nodes have the taint of the first, and another label."""

KEPT = "modelyard.dev/maintenance=yes:NoSchedule"
"""A taint that no model tolerates, on nodes that have the labels of the first GPU pool."""

SPARE = 10
"""Free nodes that no replica may take: so many of the other pool, and so many that are kept."""

GPU_NODE = {"cpu": "192", "memory": "2Ti", "pods": "110", "nvidia.com/gpu": str(GPUS)}
CPU_NODE = {"cpu": "16", "memory": "64Gi", "pods": "110"}
ON_GPUS = Resources(cpu="8", memory="64Gi")
ON_CPUS = Resources(cpu="1", memory="2Gi")
CPU_REPLICAS_PER_NODE = 14
MOST_REPLICAS = 100
"""Of one model: what a release allows."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """So many GPU nodes; so many replicas, of which those with GPUs take all of them."""

    gpu_nodes: int
    replicas: int

    @property
    def on_gpus(self) -> int:
        """Replicas that fill the GPUs."""
        return self.gpu_nodes * GPUS // GPUS_PER_REPLICA

    @property
    def on_cpus(self) -> int:
        """The other replicas."""
        return self.replicas - self.on_gpus

    @property
    def cpu_nodes(self) -> int:
        """Nodes with room for these."""
        return math.ceil(self.on_cpus / CPU_REPLICAS_PER_NODE)

    def environment(self) -> Environment:
        """`test` with the fleet's pools, and a quota that ends one replica after the GPUs do."""
        pools = (
            Pool(name="control", kind="control"),
            Pool(name="cpu", kind="cpu"),
            Pool(name="gpu", kind="gpu", gpus_per_node=GPUS),
            Pool(name=OTHER, kind="gpu", gpus_per_node=GPUS),
        )
        quota = Quota(
            pods=self.replicas + 1,
            cpu=8 * (self.on_gpus + 1) + self.on_cpus,
            memory_gib=64 * (self.on_gpus + 1) + 2 * self.on_cpus,
        )
        return environment.load("test").model_copy(update={"pools": pools, "models": quota})

    def nodes(self, facts: Contract) -> Iterator[dict[str, Any]]:
        """All of them: those that replicas may take, and those that they may not."""
        pools = {pool.name: pool for pool in facts.pools}

        def of(pool: str, mark: str, number: int, *taints: str) -> Iterator[dict[str, Any]]:
            size = CPU_NODE if pool == "cpu" else GPU_NODE
            for index in range(number):
                name = f"{ground.PREFIX}{mark}-{index}"
                yield ground.node(pools[pool], name, taints=taints, size=size)

        # The free ones first: a scheduler that is wrong about them takes them.
        yield from of("gpu", "kept", SPARE, KEPT)
        yield from of(OTHER, "other", SPARE)
        yield from of("cpu", "cpu", self.cpu_nodes)
        yield from of("gpu", "gpu", self.gpu_nodes)

    def releases(self) -> list[Release]:
        """Models with up to a hundred replicas each."""
        on_gpus = [one(f"gpu-{at:03}", "gpu", many) for at, many in _shares(self.on_gpus)]
        on_cpus = [one(f"cpu-{at:03}", "cpu", many) for at, many in _shares(self.on_cpus)]
        return on_gpus + on_cpus


def one(name: str, pool: Literal["cpu", "gpu"], replicas: int) -> Release:
    """A release that wants exactly so many replicas."""
    return samples.release(
        f"{ground.PREFIX}{name}",
        resources=ON_GPUS if pool == "gpu" else ON_CPUS,
        pool=pool,
        gpus=GPUS_PER_REPLICA if pool == "gpu" else 0,
        replicas=Replicas(min=replicas, max=replicas),
    )


def _shares(replicas: int) -> Iterator[tuple[int, int]]:
    for at, first in enumerate(range(0, replicas, MOST_REPLICAS)):
        yield at, min(MOST_REPLICAS, replicas - first)


def misplaced(pods: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> list[str]:
    """What is wrong with where pods stand, by their own templates and what their nodes offer."""
    by_name = {node["metadata"]["name"]: node for node in nodes}
    taken = dict.fromkeys(by_name, 0)
    faults: list[str] = []
    for pod in pods:
        name, spec = pod["metadata"]["name"], pod["spec"]
        node = by_name.get(spec.get("nodeName", ""))
        if node is None:
            faults.append(f"{name} is on no node")
            continue
        where = f"{name} is on {node['metadata']['name']}"
        if not spec["nodeSelector"].items() <= node["metadata"]["labels"].items():
            faults.append(f"{where}, which is not of its pool")
        faults += [
            f"{where} and does not tolerate {taint['key']}"
            for taint in node["spec"].get("taints", [])
            if not any(_tolerates(each, taint) for each in spec.get("tolerations", []))
        ]
        asked = spec["containers"][0]["resources"]["requests"]
        taken[node["metadata"]["name"]] += int(asked.get("nvidia.com/gpu", 0))
    for name, gpus in taken.items():
        offered = int(by_name[name]["status"]["allocatable"].get("nvidia.com/gpu", 0))
        if gpus > offered:
            faults.append(f"{name} has {offered} GPUs, and {gpus} are taken")
    return faults


def _tolerates(toleration: dict[str, str], taint: dict[str, str]) -> bool:
    if toleration.get("effect") not in (None, taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, taint["key"])
    same = (taint["key"], taint.get("value", ""))
    return (toleration.get("key"), toleration.get("value", "")) == same
