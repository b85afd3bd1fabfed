"""The hosts of an environment and their cluster, made by Ansible: up, agrees, down."""

import hashlib
import ipaddress
import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ci.pipeline import engine, files, node_probe, playbook, ports, watchers
from ci.pipeline.steps import Steps
from ci.report import Report, silent
from ci.toolchain import debian, doctor, images, manifest, provide, store, supply
from ci.toolchain.images import Archive
from infra import contract, places
from infra.environment import Environment
from infra.refusal import Refusal

IMAGE_LABEL = "modelyard.image=node"
BINARIES = {
    "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    "etcd": ("etcdctl", "etcdutl"),
    "kubernetes": ("kubelet", "kubeadm", "kubectl"),
    "distribution": ("registry",),
}
# What a node container's root file system has beyond minbase.
NODE_PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "kmod", "procps", "mount", "util-linux"),
    *("iproute2", "iptables", "conntrack", "ethtool", "socat"),
    *("containerd", "runc", "containernetworking-plugins", "ca-certificates"),
    *("python3", "python3-apt", "openssh-server", "sudo", "haproxy"),
]


def require(env: Environment, rule: str, remedy: str) -> None:
    """Raise Refusal for an environment that is no cluster of hosts."""
    if env.cluster.substrate != "hosts":
        where = f"Pulumi.{env.name}.yaml: cluster.substrate"
        raise Refusal(where, env.cluster.substrate, rule, remedy)


def require_up(env: Environment, rule: str) -> None:
    """Raise Refusal for an environment that was not brought up from this machine."""
    if not contract.path(env.name).is_file():
        remedy = f"Run `.venv/bin/yard up {env.name}` first."
        raise Refusal(f"environment {env.name}", "not up", rule, remedy)


def archives(env: Environment, report: Report) -> dict[str, Archive]:
    """Images that the environment's nodes need, made where the store lacks them."""
    source, listed = supply.resolve(env), images.names(env.kubernetes, env.engine)
    return {name: images.ensure(made, report, source) for name, made in listed.items()}


def prepare(env: Environment, steps: Steps) -> dict[str, Archive]:
    """Bring to this machine what a playbook that changes hosts needs; the nodes' images."""
    with steps.step("machine") as report:
        doctor.require(env, report)
    with steps.step("tools") as report:
        provide.ensure(env, report)
    with steps.step("engine") as report:
        engine.ensure(report)
    with steps.step("images") as report:
        return archives(env, report)


def up(
    env: Environment,
    archives: Mapping[str, Archive],
    report: Report,
    job: Literal["hosts", "restore"] = "hosts",
    *arguments: str,
) -> None:
    """Make or repair the hosts, then write the contract. Raises playbook.PlaybookError.

    ``job`` is the playbook, ``arguments`` are ansible-playbook's.
    """
    if missing := len(env.nodes()) - len(node_probe.running(env)):
        watchers.require(missing)
    ports.require(env)
    ports.revive(env, report)
    facts = tell(env, archives, report)
    playbook.run(env, job, report, *arguments)
    _write_contract(env, archives)
    probe = node_probe.probe(env)
    record = {"digest": _digest(env, facts), "nodes": probe.fingerprints}
    _applied(env).write_text(json.dumps(record, indent=1) + "\n")


def tell(env: Environment, archives: Mapping[str, Archive], report: Report) -> dict[str, Any]:
    """Write down for the playbooks what they have to know of this machine; what that is."""
    facts = _facts(env, archives, report)
    _folder(env).mkdir(parents=True, exist_ok=True, mode=0o700)
    _applied(env).unlink(missing_ok=True)
    (_folder(env) / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def agrees(env: Environment) -> bool:
    """Whether roles, inventory, environment, tools and every node are as the last `up` left them.

    False, too, when it cannot be told: Ansible then looks for itself.
    """
    try:
        record = json.loads(_applied(env).read_text())
    except (FileNotFoundError, ValueError):
        return False
    source = supply.resolve(env)
    listed = images.names(env.kubernetes, env.engine)
    found = {name: images.find(made, source) for name, made in listed.items()}
    archives = {name: archive for name, archive in found.items() if archive}
    if len(archives) < len(found) or not contract.path(env.name).is_file():
        return False
    if record.get("digest") != _digest(env, _facts(env, archives, silent)):
        return False
    state = node_probe.probe(env)
    return state.healthy and state.fingerprints == record.get("nodes")


def down(env: Environment, report: Report) -> None:
    """Remove the environment's containers, volumes and network, and what is known of them here."""
    label: dict[str, str | list[str] | bool] = {"label": f"{engine.LABEL}={env.name}"}
    connection = engine.client()
    try:
        containers = connection.containers.list(all=True, filters=label, ignore_removed=True)
        volumes = connection.volumes.list(filters=label)
        networks = connection.networks.list(filters=label)
        # In this order: what uses another thing goes before it.
        doomed: list[tuple[Any, Callable[[], object]]] = [
            *((one.name, partial(one.remove, force=True)) for one in containers),
            *((one.name, partial(one.remove, force=True)) for one in volumes),
            *((one.name, one.remove) for one in networks),
        ]
        for number, (name, remove) in enumerate(doomed):
            report(f"removing {name}", number, len(doomed))
            remove()
        # Only those that no container of another environment uses.
        connection.images.prune(filters={"label": IMAGE_LABEL, "dangling": False})
    finally:
        connection.close()
    shutil.rmtree(_folder(env), ignore_errors=True)
    shutil.rmtree(places.state(env.name) / "ssh", ignore_errors=True)
    for file in (places.state(env.name) / "kubeconfig", contract.path(env.name)):
        file.unlink(missing_ok=True)


def _facts(env: Environment, archives: Mapping[str, Archive], report: Report) -> dict[str, Any]:
    """What the roles have to know of this machine: paths, digests, resolvers."""
    source = supply.resolve(env)
    chosen = {"kubernetes": manifest.load().kubernetes_of(env.kubernetes).family}
    families = {name: chosen.get(name, name) for name in BINARIES}
    entries = {
        name: provide.find(family, source) or provide.family(family, report, source)
        for name, family in families.items()
    }
    base = debian.base_entry("node", NODE_PACKAGES, report)
    return {
        "tools": str(store.root()),
        "versions": {name: entry.version for name, entry in entries.items()},
        "binaries": {
            name: {file: str(entries[name].file(f"bin/{file}")) for file in files}
            for name, files in BINARIES.items()
        },
        "images": [
            {
                "name": name,
                "reference": archive.reference,
                "digest": archive.digest,
                "archive": str(archive.path),
                "kinds": list(archive.nodes),
            }
            for name, archive in sorted(archives.items())
        ],
        "node_base": {
            "tar": str(base.file(debian.TAR)),
            "key": base.path.name.removeprefix("debian-node-"),
        },
        "registry_ca": str(places.state(env.name) / "credentials" / "ca.crt"),
        "resolvers": resolvers(
            [Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")], env
        ),
    }


def resolvers(files: list[Path], env: Environment) -> list[str]:
    """Resolvers of this machine that a node container can reach, so none on a loopback address.

    Without any: the network's gateway, where nothing answers, because CoreDNS does not start
    without the name of one.
    """
    for file in files:
        lines = file.read_text().splitlines() if file.is_file() else []
        named = [line.split()[1] for line in lines if line.startswith("nameserver ")]
        usable = [one for one in named if not ipaddress.ip_address(one.split("%")[0]).is_loopback]
        if usable:
            return usable
    return [str(ipaddress.ip_network(env.network.hosts).network_address + 1)]


def _digest(env: Environment, facts: dict[str, Any]) -> str:
    """Digest of all that decides what the hosts look like."""
    digest = hashlib.sha256()
    for path in sorted(playbook.FOLDER.rglob("*")):
        name = path.relative_to(playbook.FOLDER)
        # Python and ansible-lint leave caches behind.
        cached = any(part == "__pycache__" or part.startswith(".") for part in name.parts)
        if path.is_file() and not cached:
            digest.update(f"{name}\n".encode())
            digest.update(path.read_bytes())
    digest.update(env.model_dump_json().encode())
    digest.update(json.dumps(facts, sort_keys=True).encode())
    digest.update(Path(facts["registry_ca"]).read_bytes())
    return digest.hexdigest()


def _write_contract(env: Environment, archives: Mapping[str, Archive]) -> None:
    document = contract.promised(env).model_copy(
        update={
            "promised": False,
            "kubelets_certified": True,
            "images": {
                name: contract.Image(reference=one.reference, digest=one.digest)
                for name, one in sorted(archives.items())
            },
            "crds": provide.definitions(supply.resolve(env)),
        }
    )
    files.write(contract.path(env.name), document.model_dump_json(indent=1) + "\n", 0o644)


def _folder(env: Environment) -> Path:
    return places.state(env.name) / "hosts"


def _applied(env: Environment) -> Path:
    return _folder(env) / "applied.json"
