"""Storage classes as data: where volumes lie, and what becomes of them.

``storage`` of an environment of hosts lists them, the first is the cluster's default and the one of
the platform's own volumes. infra/platform/storage.py makes them; Ansible sees to it that a node has
the folders.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from infra.names import Closed, DnsLabel
from infra.refusal import Fault

if TYPE_CHECKING:
    from infra.environment import Pool

PROVISIONER = "modelyard.dev/local-path"
"""By which volumes in folders are marked as the platform's."""


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    # Two parts at least: provisioners refuse the root, and /srv or /var are other people's, too.
    if not path.is_absolute() or str(path) != value or ".." in path.parts or len(path.parts) < 3:
        raise ValueError("a folder is an absolute path of two parts or more, such as /srv/volumes")
    return value


Folder = Annotated[str, AfterValidator(_absolute)]


class StorageClass(Closed):
    """One class: folders of nodes, or the driver that a team has installed."""

    name: DnsLabel
    folder: Folder | None = None
    """On the nodes' own disks, where each volume becomes a folder. Nothing bounds its size."""
    pools: tuple[DnsLabel, ...] = ()
    """Whose nodes have the folder; none: all but control planes."""
    provisioner: str | None = None
    """Name of a CSI driver."""
    parameters: Annotated[dict[str, str], Field(default_factory=dict)]
    """For the driver, which alone knows them."""
    expandable: bool = False
    """Whether the driver makes a volume larger when its claim asks for more."""
    retain: bool = False
    """Whether a volume, and what is in it, outlives its claim."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.folder is None) == (self.provisioner is None):
            raise ValueError("a class has either folder or provisioner")
        if self.folder and (self.parameters or self.expandable):
            raise ValueError("parameters and expandable are for a provisioner")
        if self.provisioner and self.pools:
            raise ValueError("pools are for a folder")
        return self


OWN = StorageClass(name="local-path", folder="/var/lib/modelyard/volumes", parameters={})
"""What a cluster of hosts has that names none. A contract that names another class has storage."""


def in_folders(classes: Sequence[StorageClass]) -> dict[str, str]:
    """Folders of those classes that have one, by the class's name."""
    return {one.name: one.folder for one in classes if one.folder}


def faults(classes: Sequence[StorageClass], pools: "Sequence[Pool]") -> Iterator[Fault]:
    """What is wrong with classes together, or with these pools."""
    names = [one.name for one in classes]
    if len({*names}) != len(names):
        yield "storage", ", ".join(names), "classes have different names", "Rename one."
    kinds = {pool.name: pool.kind for pool in pools}
    for one in classes:
        for pool in one.pools:
            if pool not in kinds:
                known = ", ".join(kinds)
                yield f"storage {one.name}: pools", pool, f"pools are {known}", "Name one of these."
    there = in_folders(classes)
    for name, folder in there.items():
        for other, outer in there.items():
            if name != other and PurePosixPath(folder).is_relative_to(outer):
                rule = f"it lies in {outer}, whose volumes are those of {other}"
                yield f"storage {name}: folder", folder, rule, "Take a folder of its own."
    for one in classes[:1]:
        if one.pools and not any(kinds.get(pool) == "cpu" for pool in one.pools):
            rule = "the first class is the platform's, whose pods run on pools of kind cpu"
            remedy = "Add such a pool, or put another class first."
            yield f"storage {one.name}: pools", ", ".join(one.pools), rule, remedy


def folders(classes: Sequence[StorageClass], pool: str, kind: str) -> list[str]:
    """Folders that a node of a pool has to have: all but OWN's, which is made where it is not."""
    return sorted(
        one.folder
        for one in classes
        if one.folder
        and one.folder != OWN.folder
        and (pool in one.pools if one.pools else kind != "control")
    )
