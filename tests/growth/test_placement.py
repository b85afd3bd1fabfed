"""Placing by pool, taint and quota, on a small fleet instead of a thousand nodes."""

import copy
from typing import Any

import pytest

from tests.growth import fleet, placement
from tests.growth.fleet import Fleet


@pytest.mark.growth
def test_replicas_fill_the_pools_and_nothing_else_and_the_quota_ends_it() -> None:
    size = Fleet(gpu_nodes=5, replicas=30)

    found = placement.measure(size, requests_s=None)

    assert found.faults == []
    assert len(found.pods) == 30
    taken = {pod["spec"]["nodeName"].rsplit("-", 1)[0] for pod in found.pods}
    assert taken == {"growth-gpu", "growth-cpu"}
    assert "nvidia.com/gpu" in found.pending
    assert "untolerated taint" in found.pending
    assert "exceeded quota" in found.refused
    said = "\n".join(placement.table(size, found))
    assert "kube-scheduler" in said
    assert "replicas where they may not be: 0" in said


NODE: dict[str, Any] = {
    "metadata": {"name": "gpu-0", "labels": {"pool": "gpu", "zone": "a"}},
    "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
    "status": {"allocatable": {"nvidia.com/gpu": "8"}},
}
POD: dict[str, Any] = {
    "metadata": {"name": "model-0"},
    "spec": {
        "nodeName": "gpu-0",
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [
            {
                "key": "nvidia.com/gpu",
                "operator": "Equal",
                "value": "present",
                "effect": "NoSchedule",
            }
        ],
        "containers": [{"resources": {"requests": {"nvidia.com/gpu": "2"}}}],
    },
}


def test_a_replica_in_its_pool_is_placed_well() -> None:
    assert fleet.misplaced([POD] * 4, [NODE]) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"nodeSelector": {"pool": "cpu"}}, "not of its pool"),
        ({"tolerations": []}, "does not tolerate nvidia.com/gpu"),
        ({"nodeName": ""}, "on no node"),
    ],
)
def test_a_replica_that_may_not_be_there_is_found(change: dict[str, Any], fault: str) -> None:
    pod = copy.deepcopy(POD)
    pod["spec"] |= change

    (said,) = fleet.misplaced([pod], [NODE])

    assert fault in said


def test_more_gpus_than_a_node_has_are_found() -> None:
    (said,) = fleet.misplaced([POD] * 5, [NODE])

    assert said == "gpu-0 has 8 GPUs, and 10 are taken"


def test_a_fleet_has_gpus_for_no_replica_more() -> None:
    size = Fleet(gpu_nodes=1000, replicas=5000)

    wanted = size.releases()

    assert sum(one.replicas.min for one in wanted) == 5000
    assert sum(one.replicas.min * one.gpus for one in wanted) == 8000
    assert size.environment().models.pods == 5001
