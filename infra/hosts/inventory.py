"""The files of an Ansible inventory, and what is wrong with them that Ansible does not say.

Ansible ignores a variable that no role knows, a file of group_vars whose name is no group, and an
inventory's group_vars/all where the playbooks' say the same. Each is refused here.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.refusal import Refusal

Read = Callable[[str], Any]
ENDINGS = ("", ".yml", ".yaml", ".json")
LOADED = (
    *("modelyard_data", "modelyard_environment", "modelyard_hosts"),
    *("modelyard_node", "modelyard_state"),
)
"""What plugins/vars/environment.py offers."""
DELEGATES = "control_plane"
LITERAL = {"ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file"}
SECRET = re.compile("pass|secret|token|credential|private", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of variables: of a group's hosts, of one host, or hosts.yml with those of several.

    ``own`` is the inventory's.
    """

    path: Path
    kind: str
    name: str
    own: bool
    variables: frozenset[str]


def files(inventory: Path, playbooks: Path, read: Read) -> list[File]:
    """Files with variables, in the order in which a later one wins.

    ``read`` gives a file's content; Ansible's also opens what ansible-vault has closed.
    """
    found = [
        File(
            path=path,
            kind=kind,
            name=path.relative_to(folder / kind).parts[0].split(".")[0],
            own=folder == inventory,
            variables=frozenset(read(str(path)) or {}),
        )
        for folder in (inventory, playbooks)
        for kind in ("group_vars", "host_vars")
        for path in sorted((folder / kind).rglob("*"))
        if path.is_file() and path.suffix in ENDINGS and not path.name.startswith(".")
    ]
    # Groups before hosts, `all` before other groups, an inventory's before the playbooks'.
    found.sort(key=lambda one: (one.kind, one.name != "all", not one.own))
    hosts = inventory / "hosts.yml"
    inline = frozenset(_inline(read(str(hosts)) or {})) if hosts.is_file() else frozenset()
    return [*found, File(path=hosts, kind="hosts", name="", own=True, variables=inline)]


def _inline(groups: Mapping[str, Any]) -> Iterator[str]:
    """Variables that an inventory's groups set themselves."""
    for group in groups.values():
        parts = group or {}
        yield from parts.get("vars") or {}
        for host in (parts.get("hosts") or {}).values():
            yield from host or {}
        yield from _inline(parts.get("children") or {})


def named(found: Iterable[File], variables: Iterable[str]) -> set[str]:
    """A host's variables without what Ansible adds by itself: ansible_*, unless a file says so."""
    said = {name for file in found for name in file.variables}
    return {name for name in variables if name in said or not name.startswith("ansible_")}


def where(found: Iterable[File], name: str, host: str, groups: Iterable[str]) -> str:
    """File that gives a host its value of a variable; the inventory when none of them does."""
    scopes = {("group_vars", group) for group in (*groups, "all")}
    scopes |= {("host_vars", host), ("hosts", "")}
    naming = [one for one in found if name in one.variables and (one.kind, one.name) in scopes]
    return str(naming[-1].path) if naming else "the inventory"


def require_groups(found: Iterable[File], groups: set[str], hosts: set[str]) -> None:
    """Refuse files that belong to nothing, because Ansible does not read them."""
    for file in found:
        known = groups if file.kind == "group_vars" else hosts
        if file.own and file.name and file.name not in known:
            thing = "group" if file.kind == "group_vars" else "host"
            rule = f"the inventory has no {thing} of this name, so nobody reads the file"
            raise Refusal(
                str(file.path), file.name, rule, f"Rename it: {_nearest(file.name, known)}"
            )


def require_effect(found: list[File]) -> None:
    """Refuse what an inventory says of all hosts where the playbooks' group_vars/all wins."""
    of_all = [file for file in found if (file.kind, file.name) == ("group_vars", "all")]
    for file in (one for one in of_all if one.own):
        for other in (one for one in of_all if not one.own):
            for name in sorted(file.variables & other.variables):
                rule = f"{other.path} says it, too, and wins over an inventory's group_vars/all"
                remedy = f"Move {name} to the file of a group, such as group_vars/kubernetes.yml."
                raise Refusal(f"{file.path}: {name}", "set for all hosts", rule, remedy)


def require_literal(found: list[File], host: str, groups: Iterable[str], variables: Any) -> None:
    """Refuse a template in what leads to a host that work for others is delegated to."""
    if DELEGATES not in groups:
        return
    for name in sorted(named(found, variables) & LITERAL):
        if "{{" in str(variables[name]):
            raise Refusal(
                f"{host}: {where(found, name, host, groups)}: {name}",
                str(variables[name]),
                "Mitogen takes it as it stands, because nodes have work done on control planes",
                f"Write the value of {name} itself.",
            )


def specifications(playbooks: Path) -> dict[str, dict[str, Any]]:
    """Options by role, and under the empty name those of the inventory itself."""
    paths = {"": playbooks / "meta" / "argument_specs.yml"}
    for path in sorted((playbooks.parent / "roles").glob("*/meta/argument_specs.yml")):
        paths[path.parent.parent.name] = path
    return {role: _options(path) for role, path in paths.items()}


def _options(path: Path) -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    return options


def require_known(
    variables: Mapping[str, Any],
    specified: Mapping[str, Mapping[str, Any]],
    place: Callable[[str], str],
) -> None:
    """Refuse a variable that stands in no specification; two underscores make a file's own."""
    known = {name for options in specified.values() for name in options}
    for name in sorted(variables):
        if name in known or name in LOADED or name.startswith("__"):
            continue
        remedy = f"Remove it, or correct its name: {_nearest(name, known)}"
        raise Refusal(
            f"{place(name)}: {name}",
            # A mistyped name of a secret is one of a secret, too.
            shown(name + remedy, variables[name]),
            "no role and no playbook knows it",
            remedy,
        )


def shown(name: str, value: object) -> object:
    """A value as a refusal may show it: nothing whose name sounds like a secret."""
    return "(not shown)" if SECRET.search(name) else value


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"perhaps {near[0]} is meant." if near else "see docs/hosts.md for what there is."


def roles(playbooks: Path, groups: set[str]) -> list[str]:
    """Roles that any playbook gives to a host of these groups, each once."""
    found: dict[str, None] = {}
    for path in sorted(playbooks.glob("*.yml")):
        for play in yaml.safe_load(path.read_text()):
            if play.get("hosts") in groups:
                for role in play.get("roles", []):
                    found[role if isinstance(role, str) else role["role"]] = None
    return list(found)
