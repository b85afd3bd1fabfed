"""A hand-written contract: what a person may write, and what the cluster must keep of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import contract, environment, existing
from infra.contract import Described
from infra.environment import Cluster, Environment
from infra.existing import Node, Seen
from infra.refusal import Refusal
from tests.infra.test_parity import BY_HAND

GPU_POOL = {
    "name": "gpus",
    "kind": "gpu",
    "simulated": False,
    "gpus_per_node": 8,
    "labels": {"team.example.com/pool": "gpus"},
    "taint": "nvidia.com/gpu=present:NoSchedule",
}
PLATFORMS = {"url": "https://models.team.example.com", "port": 443}
REGISTRY = {"pull": "registry.example.com", "push": "registry.example.com"}


def written(folder: Path, **changes: Any) -> Environment:
    """The environment of a file like the example, with changes."""
    path = folder / "contract.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(BY_HAND) | changes))
    cluster = Cluster(substrate="existing", contract=str(path))
    update = {"cluster": cluster, "ports": None, "pools": ()}
    return environment.load("local").model_copy(update=update)


def told(folder: Path, **changes: Any) -> Described:
    return contract.described(written(folder, **changes))


def test_a_person_writes_what_only_the_owner_of_a_cluster_knows(tmp_path: Path) -> None:
    facts = contract.promised(written(tmp_path))

    assert (facts.storage_class, facts.registry.pulled_by) == ("fast", "nodes")
    assert facts.guards == "own"
    assert facts.kubeconfig.name == "kubeconfig"
    assert facts.kubeconfig != told(tmp_path).kubeconfig
    assert facts.promised


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"api": "http://cluster"}, r"contract\.yaml: api is 'http://cluster': it is asked over"),
        ({"kubeconfig": "config"}, r"kubeconfig is 'config'.*begins with / or ~"),
        (
            {"existing": [], "gateway": PLATFORMS},
            r"existing is \[\].*a registry that they trust.*Add registry",
        ),
        ({"registry": REGISTRY}, r"registry\.pulled_by is 'password'.*write nodes"),
        ({"pools": []}, r"pools is \[\].*runs on a pool of kind cpu"),
        ({"gossip": 1}, r"gossip is 1.*Remove gossip"),
        (
            {"pools": [GPU_POOL | {"kind": "cpu", "gpus_per_node": 1}]},
            r"pools\.0\.gpus_per_node is 1",
        ),
        (
            {"pools": [{**GPU_POOL, "kind": "cpu", "gpus_per_node": 0, "labels": {}}]},
            "labels is {}",
        ),
        (
            {"pools": [{**GPU_POOL, "kind": "cpu", "gpus_per_node": 0, "taint": "gpu"}]},
            r"taint is 'gpu': a taint is key=value:effect",
        ),
        (
            {"pools": [*yaml.safe_load(BY_HAND)["pools"], GPU_POOL]},
            r"existing is .*offer nvidia\.com/gpu by a plugin of the team's.*Add devices",
        ),
        ({"pools": yaml.safe_load(BY_HAND)["pools"] * 2}, "pools have different names"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(Refusal, match=expected) as refused:
        told(tmp_path, **changes)

    assert refused.value.remedy.endswith(".")


WORKER = Node(name="w1", labels={"team.example.com/pool": "workers"}, taints=frozenset())
GPU = Node(
    name="g1",
    labels={"team.example.com/pool": "gpus"},
    taints=frozenset({"nvidia.com/gpu=present:NoSchedule"}),
    offers={"nvidia.com/gpu": "8"},
)


def seen(**changes: Any) -> Seen:
    whole: dict[str, Any] = {
        "server": "https://cluster.team.example.com:6443",
        "version": (1, 33),
        "nodes": (WORKER, GPU),
        "owners": {
            "StorageClass fast": "",
            "APIService v1beta1.metrics.k8s.io": "",
            "Namespace team-monitoring": "",
        },
    }
    return Seen(**(whole | changes))


def broken(folder: Path, found: Seen, makes: tuple[str, ...] = ()) -> list[str]:
    pools = [*yaml.safe_load(BY_HAND)["pools"], GPU_POOL]
    have = ["registry", "metrics", "monitoring", "devices"]
    promises = told(folder, pools=pools, existing=have, gateway=PLATFORMS)
    return [
        f"{key} is {value!r}: {rule}. {remedy}"
        for key, value, rule, remedy in existing.broken(promises, found, "team", makes)
    ]


def test_a_cluster_that_keeps_its_contract_is_taken(tmp_path: Path) -> None:
    assert broken(tmp_path, seen(), ("Namespace models",)) == []


def without(kind: str) -> dict[str, str]:
    return {name: owner for name, owner in seen().owners.items() if not name.startswith(kind)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"server": "https://other"}, "the current context of the kubeconfig is https://other"),
        ({"version": (1, 29)}, "needs Kubernetes 1.30 or newer"),
        ({"owners": without("StorageClass")}, "no such class; it has: none"),
        ({"owners": without("APIService")}, "does not serve v1beta1.metrics.k8s.io"),
        ({"owners": without("Namespace")}, "prometheus is 'team-monitoring'"),
        ({"nodes": (WORKER,)}, "pools.1.labels is"),
    ],
)
def test_a_broken_promise_is_named(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    (said,) = broken(tmp_path, seen(**changes))

    assert expected in said


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            Node(name="g1", labels=GPU.labels, taints=frozenset(), offers=GPU.offers),
            "not this taint",
        ),
        (
            Node(name="g1", labels=GPU.labels, taints=GPU.taints, offers={"nvidia.com/gpu": "4"}),
            "node g1 offers 4 of nvidia.com/gpu",
        ),
        (
            Node(
                name="g1",
                labels=GPU.labels,
                taints=GPU.taints | {"team=a:NoExecute"},
                offers=GPU.offers,
            ),
            "taints that pods of the pool do not tolerate",
        ),
    ],
)
def test_a_node_that_is_not_as_its_pool_says_is_named(
    tmp_path: Path, node: Node, expected: str
) -> None:
    (said,) = broken(tmp_path, seen(nodes=(WORKER, node)))

    assert expected in said


def test_what_another_owns_is_not_taken_over_and_our_own_is(tmp_path: Path) -> None:
    theirs = seen(owners={**seen().owners, "Namespace models": "", "Namespace gateway": "team"})

    (said,) = broken(tmp_path, theirs, ("Namespace models", "Namespace gateway"))

    assert "Namespace models of somebody" in said
