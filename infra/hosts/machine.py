"""Whether a machine can carry what a playbook brings, before anything on it is changed."""

import re
from typing import Annotated

from pydantic import Field

from infra.hosts.known_good import Limits
from infra.names import Closed
from infra.refusal import Refusal

OLDEST = {"debian": "12", "ubuntu": "22.04"}


class Machine(Closed):
    """What ansible/plugins/modules/machine_facts.py saw as the user whom Ansible enters as."""

    system: str
    """As a person calls it."""
    family: str
    """The id in its os-release; empty where it has none."""
    release: str
    """The version there; empty where it has none, as what is still being made."""
    user: str
    becomes_root: bool
    """Is root, or may be by sudo without a password."""
    free_gib: dict[str, Annotated[float, Field(ge=0)]]
    """By path: of the file system on which it lies."""
    inodes_free_percent: dict[str, Annotated[int, Field(ge=0, le=100)]]
    """The same."""
    absent: tuple[str, ...] = ()
    """Folders of storage classes that it does not have."""
    clock_off: Annotated[float, Field(ge=0)]
    """Seconds."""


def require(host: str, found: Machine, limits: Limits, *, password: bool) -> None:
    """Raise Refusal for the first thing that stops later, half way.

    ``password``: Ansible has one for sudo, so that nobody can tell beforehand whether it is right.
    """
    if not _known(found.family, found.release):
        known = " and ".join(f"{name.capitalize()} {oldest}" for name, oldest in OLDEST.items())
        rule = f"the roles know {known}, and later ones"
        raise Refusal(f"{host}: system", found.system, rule, "Take a machine with one of them.")
    if not found.becomes_root and not password:
        rule = "the user whom Ansible enters as has to become root by sudo, without being asked"
        remedy = "Give it the right in /etc/sudoers.d, or set ansible_become_password in a vault."
        raise Refusal(f"{host}: ansible_user", found.user, rule, remedy)
    least = limits.disk_free_gib.broken
    for path, free in found.free_gib.items():
        if free < least:
            rule = f"at least {least:g} GiB have to be free there"
            remedy = "Free some, or enlarge it."
            raise Refusal(f"{host}: disk {path}", f"{free:g} GiB free", rule, remedy)
    files = limits.inodes_free_percent.broken
    for path, inodes in found.inodes_free_percent.items():
        if inodes < files:
            rule = f"at least {files:g} % of what it can have of files have to be free there"
            raise Refusal(f"{host}: files {path}", f"{inodes} % free", rule, "Delete some.")
    for path in found.absent:
        rule = "a storage class of the environment has its volumes there, and it is no folder"
        remedy = "Mount its disk and make the folder on it, or take the class off this pool."
        raise Refusal(f"{host}: storage", path, rule, remedy)
    if found.clock_off > limits.clock_seconds.broken:
        rule = f"at most {limits.clock_seconds.broken:g} s off from the machine that asks"
        value = f"{found.clock_off:g} s off"
        raise Refusal(f"{host}: clock", value, rule, "Repair its time service.")


def away(host: str, address: str, said: str) -> Refusal:
    """The refusal of a machine that does not answer; ``said``: what the attempt came to."""
    rule = f"it has to answer, and says: {said or 'nothing'}"
    remedy = "Switch it on, look at its network and SSH key, or use --limit."
    return Refusal(f"{host}: ansible_host", address, rule, remedy)


def _known(family: str, release: str) -> bool:
    if family not in OLDEST or not release:
        return False
    return _numbers(release) >= _numbers(OLDEST[family])


def _numbers(release: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", release)]
