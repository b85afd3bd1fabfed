"""A control plane is taken away, whether it lives or is gone, and another comes in its place."""

from collections.abc import Callable

import pytest
from testinfra.host import Host

from ci.pipeline import playbook
from ci.report import silent
from infra.environment import Environment
from infra.refusal import Refusal
from tests.hosts import machines
from tests.hosts.quorum import (
    ADMIN,
    CONTROLS,
    WORKERS,
    env,
    reach,
    ready,
    until,
    voters,
    worker,
)

__all__ = ["env", "reach", "worker"]

pytestmark = pytest.mark.scenarios
REHEARSAL = ("--check", "--diff")


def _scale(env: Environment, *arguments: str, **given: object) -> list[str]:
    return machines.changes(env, "scale", *arguments, **given)


def test_one_that_lives_leaves_etcd_and_the_cluster_as_rehearsed(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    named = _scale(env, *REHEARSAL, scale_remove="control-2")
    assert voters(reach("control-2")) == set(CONTROLS)

    assert _scale(env, scale_remove="control-2") == named

    assert voters(reach("control-1")) == {"control-1", "control-3"}
    until(
        lambda: ready(worker) == dict.fromkeys(("control-1", "control-3", *WORKERS), True),
        "the others ready",
    )
    for left in (ADMIN, "/var/lib/etcd/member", "/etc/kubernetes/encryption.yaml"):
        assert not reach("control-2").file(left).exists
    assert _scale(env, scale_remove="control-2") == []


def test_another_comes_in_its_place_as_rehearsed(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    named = _scale(env, *REHEARSAL, scale_add="control-2")
    assert "control-2" not in ready(worker)

    assert _scale(env, scale_add="control-2") == named

    assert ready(worker) == dict.fromkeys((*CONTROLS, *WORKERS), True)
    assert voters(reach("control-2")) == set(CONTROLS)
    assert playbook.run(env, "hosts", silent).changes == []


def test_while_one_is_gone_no_other_may_go_and_it_is_taken_away_as_rehearsed(
    env: Environment, reach: Callable[[str], Host], worker: Callable[..., str]
) -> None:
    machines.destroy(env, "control-1")

    with pytest.raises(Refusal, match=r"stay \(control-1, control-3\) most have to be ready"):
        _scale(env, scale_remove="control-2")
    named = _scale(env, *REHEARSAL, scale_remove="control-1")
    assert voters(reach("control-3")) == set(CONTROLS)
    assert _scale(env, scale_remove="control-1") == named

    assert "control-1: control_plane : forget | Remove the member that this host was" in named
    assert voters(reach("control-3")) == {"control-2", "control-3"}
    assert set(ready(worker)) == {"control-2", "control-3", *WORKERS}
