"""Storage classes come from the contract, and a provisioner only where one has a folder."""

import json
from typing import TYPE_CHECKING, Any

from infra.contract import Contract
from infra.platform import spaces
from infra.platform.storage import Storage, StorageArgs
from infra.storage import OWN, PROVISIONER, StorageClass

if TYPE_CHECKING:
    from tests.infra.conftest import Engine

NVME = {"name": "nvme", "folder": "/srv/nvme/volumes", "pools": ["gpu"], "retain": True}
CEPH = {"name": "ceph", "provisioner": "rbd.csi.ceph.com", "parameters": {"pool": "a"}}


def _made(engine: "Engine", facts: Contract, *told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Classes that the platform makes of these, by name; the first is the default."""
    classes = tuple(StorageClass.model_validate(one) for one in told)
    there = facts.model_copy(update={"storage": classes, "storage_class": classes[0].name})
    engine.run(lambda: Storage("storage", StorageArgs(contract=there, namespace="storage")))
    return {one.inputs["metadata"]["name"]: one.inputs for one in engine.created("StorageClass")}


def test_every_class_is_made_and_the_first_is_the_clusters_default(
    engine: "Engine", facts: Contract
) -> None:
    made = _made(engine, facts, OWN.model_dump(), NVME, CEPH)

    mark = "storageclass.kubernetes.io/is-default-class"
    assert {name: one["metadata"]["annotations"].get(mark) for name, one in made.items()} == {
        "local-path": "true",
        "nvme": None,
        "ceph": None,
    }
    assert [made[name]["provisioner"] for name in ("nvme", "ceph")] == [
        PROVISIONER,
        "rbd.csi.ceph.com",
    ]
    assert made["ceph"]["parameters"] == {"pool": "a"}
    assert [made[name]["reclaimPolicy"] for name in ("nvme", "ceph")] == ["Retain", "Delete"]


def test_a_class_of_a_pool_sends_its_pods_to_that_pool_and_each_has_its_own_folder(
    engine: "Engine", facts: Contract
) -> None:
    made = _made(engine, facts, OWN.model_dump(), NVME)

    (term,) = made["nvme"]["allowedTopologies"]
    assert term == {"matchLabelExpressions": [{"key": "modelyard.dev/pool", "values": ["gpu"]}]}
    settings = json.loads(engine.one("ConfigMap")["data"]["config.json"])["storageClassConfigs"]
    assert {name: one["nodePathMap"][0]["paths"] for name, one in settings.items()} == {
        "local-path": [OWN.folder],
        "nvme": ["/srv/nvme/volumes"],
    }


def test_a_folder_that_a_team_named_is_not_made_where_its_disk_is_away(
    engine: "Engine", facts: Contract
) -> None:
    made = _made(engine, facts, OWN.model_dump(), NVME)

    assert made["nvme"]["metadata"]["annotations"]["defaultVolumeType"] == "local"
    assert "defaultVolumeType" not in made["local-path"]["metadata"]["annotations"]


def test_drivers_alone_need_no_provisioner_and_no_namespace(
    engine: "Engine", facts: Contract
) -> None:
    _made(engine, facts, CEPH)

    assert engine.created("Deployment") == []
    told = (StorageClass.model_validate(CEPH),)
    there = facts.model_copy(update={"storage": told, "storage_class": "ceph"})
    assert spaces.STORAGE in spaces.left_out(there)
