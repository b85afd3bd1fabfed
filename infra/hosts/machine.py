"""Whether a machine can carry what a playbook brings, before anything on it is changed."""

from typing import Annotated

from pydantic import Field

from infra.hosts.known_good import Limits
from infra.names import Closed
from infra.refusal import Refusal

SYSTEMS = {"debian", "ubuntu"}


class Machine(Closed):
    """What ansible/plugins/modules/machine_facts.py saw as the user whom Ansible enters as."""

    system: str
    """As a person calls it."""
    family: str
    """The id in its os-release."""
    user: str
    becomes_root: bool
    """Is root, or may be by sudo without a password."""
    free_gib: dict[str, Annotated[float, Field(ge=0)]]
    """By path: of the file system on which it lies."""
    absent: tuple[str, ...] = ()
    """Folders of storage classes that it does not have."""
    clock_off: Annotated[float, Field(ge=0)]
    """Seconds."""


def require(host: str, found: Machine, limits: Limits, *, password: bool) -> None:
    """Raise Refusal for the first thing that stops later, half way.

    ``password``: Ansible has one for sudo, so that nobody can tell beforehand whether it is right.
    """
    if found.family not in SYSTEMS:
        rule = f"the roles know {' and '.join(sorted(SYSTEMS))}"
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
    for path in found.absent:
        rule = "a storage class of the environment has its volumes there, and it is no folder"
        remedy = "Mount its disk and make the folder on it, or take the class off this pool."
        raise Refusal(f"{host}: storage", path, rule, remedy)
    if found.clock_off > limits.clock_seconds.broken:
        rule = f"at most {limits.clock_seconds.broken:g} s off from the machine that asks"
        value = f"{found.clock_off:g} s off"
        raise Refusal(f"{host}: clock", value, rule, "Repair its time service.")
