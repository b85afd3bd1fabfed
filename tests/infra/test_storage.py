"""Which folders of storage classes a node has to have."""

import pytest

from infra import storage
from infra.storage import StorageClass

CLASSES = [
    StorageClass.model_validate(one)
    for one in (
        {"name": "local-path", "folder": storage.OWN.folder},
        {"name": "disks", "folder": "/srv/disks/volumes"},
        {"name": "nvme", "folder": "/srv/nvme/volumes", "pools": ["gpu"]},
        {"name": "ceph", "provisioner": "rbd.csi.ceph.com"},
    )
]


@pytest.mark.parametrize(
    ("pool", "kind", "expected"),
    [
        ("control", "control", []),
        ("cpu", "cpu", ["/srv/disks/volumes"]),
        ("gpu", "gpu", ["/srv/disks/volumes", "/srv/nvme/volumes"]),
    ],
)
def test_a_node_has_the_folders_of_its_pool_and_those_of_all_but_control_planes(
    pool: str, kind: str, expected: list[str]
) -> None:
    assert storage.folders(CLASSES, pool, kind) == expected
