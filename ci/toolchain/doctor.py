"""What this machine has of what an environment needs: the data behind `yard doctor`."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ci.pipeline import plugins, training
from ci.report import Report
from ci.toolchain import (
    debian,
    gobuild,
    images,
    manifest,
    modulefiles,
    provide,
    resources,
    store,
    supply,
    vendor,
)
from infra import places, refusal
from infra.environment import Environment

CLUSTER_GIB = 3.0
"""Memory that three node containers with the platform on them take (measured: under 3 GiB)."""

MINIMUM_PYTHON = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One tool: which version, where it came from, how it is, and what to do if it is not well."""

    name: str
    version: str
    source: str
    state: Literal["ok", "missing", "damaged"]
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts that decide whether a machine is supported."""

    kernel: str = field(default_factory=platform.system)
    processor: str = field(default_factory=platform.machine)
    python: tuple[int, int] = sys.version_info[:2]
    release: dict[str, str] = field(default_factory=debian.system)

    @property
    def name(self) -> str:
        """Distribution and version, for people."""
        return self.release.get("PRETTY_NAME") or self.kernel


def inspect(environment: Environment) -> list[Finding]:
    """Look at every tool, verify the digests of those in the store (seconds); change nothing."""
    source = supply.resolve(environment)
    found = [*machine(Machine()), *_packages(), *_store(environment, source)]
    return [*found, *_plugins(environment), _training()]


def require(environment: Environment, report: Report) -> None:
    """Prepare this machine for `up`: refuse what cannot be helped, install Debian packages.

    Needed and free disk and memory are reported for all that is not made yet.
    """
    for finding in machine(Machine()):
        if finding.state != "ok" and (finding.name != "go" or _unbuilt(environment)):
            raise refusal.Refusal(
                finding.name, finding.version, "it is not supported", finding.remedy
            )
    need, free = needed(environment), resources.read()
    report(f"needed for what is not made yet: {need.words(free)}", 0, 0)
    resources.check(need, free)
    if installed := debian.require(report):
        report(f"installed {', '.join(installed)}", 0, 0)


def needed(environment: Environment) -> resources.Need:
    """What is needed for everything that the environment lacks on this machine."""
    absent = _unbuilt(environment)
    tools = provide.needed(absent)
    made = training_made()
    running = (places.state(environment.name) / "contract.json").is_file()
    return resources.Need(
        disk_gib=(tools.disk_gib if absent else 1) + (0 if made else training.NEEDED_GIB),
        memory_gib=max(tools.memory_gib, 0 if running else CLUSTER_GIB),
        seconds=tools.seconds,
    )


def training_made() -> bool:
    """Whether the training environment of the present lock exists."""
    return (places.cache() / "training" / training.key() / "bin" / "python").exists()


def _unbuilt(environment: Environment) -> list[str]:
    source = supply.resolve(environment)
    return [name for name in provide.wanted(environment) if provide.find(name, source) is None]


def machine(facts: Machine) -> list[Finding]:
    """Whether this machine is of a supported kind, and its Python and Go new enough."""
    return [_system(facts), _python(facts), _go()]


def _system(machine: Machine) -> Finding:
    known = machine.kernel == "Linux" and machine.processor in {"x86_64", "amd64"}
    family = {machine.release.get("ID", ""), *machine.release.get("ID_LIKE", "").split()}
    supported = known and bool(family & {"debian", "ubuntu"})
    return Finding(
        name="system",
        version=f"{machine.name} on {machine.processor}",
        source="this machine",
        state="ok" if supported else "missing",
        remedy="" if supported else "Use Debian or Ubuntu on x86-64: the tools are built for it.",
    )


def _python(machine: Machine) -> Finding:
    new = machine.python >= MINIMUM_PYTHON
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    return Finding(
        name="python",
        version=".".join(map(str, machine.python)),
        source=sys.executable,
        state="ok" if new else "missing",
        remedy="" if new else f"Run `make setup PYTHON=...` with Python {wanted} or newer.",
    )


def _go() -> Finding:
    try:
        return Finding(name="go", version=gobuild.toolchain(), source="this machine", state="ok")
    except refusal.Refusal as refused:
        return Finding(
            name="go",
            version=str(refused.value or ""),
            source="this machine",
            state="missing",
            remedy=refused.remedy,
        )


def _packages() -> Iterator[Finding]:
    wanted = manifest.load().debian.packages
    absent = debian.missing()
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", *wanted]
    found: dict[str, str] = {}
    if len(absent) < len(wanted):
        said = subprocess.run(query, capture_output=True, text=True).stdout
        found = dict(line.split(" ", 1) for line in said.splitlines())
    for name in wanted:
        yield Finding(
            name=name,
            version=found.get(name, ""),
            source="package of this machine",
            state="missing" if name in absent else "ok",
            remedy=f"As root, run: apt-get install {name}" if name in absent else "",
        )


def _store(environment: Environment, source: supply.Supply) -> Iterator[Finding]:
    remedy = f"Run `yard up {environment.name}`, which makes it."
    for name, family in manifest.load().family.items():
        entry = provide.find(name, source)
        if entry or family.needed_by == "up":  # nobody lacks what one command makes for itself
            yield _entry(name, family.version, entry, remedy)
    for name in manifest.load().module_file:
        yield _entry(name, "", modulefiles.find(name), remedy)
    for name in images.names(engine=environment.engine):
        yield _entry(f"image {name}", "", images.entry(name, source), remedy)


def _plugins(environment: Environment) -> Iterator[Finding]:
    """Pulumi's own plugins, for environments that no stand-in serves."""
    if plugins.kind(environment) == "stand-in":
        return
    unpinned = vendor.load().unpinned_plugins()
    for name, downloads in vendor.load().plugin.items():
        remedy = f"Run `yard up {environment.name}`, which downloads it."
        if name in unpinned:
            remedy = "It has no digest: on an open network run `yard toolchain pin`."
        entry = store.find(f"plugin-{name}", vendor.key(downloads))
        yield _entry(f"plugin {name}", vendor.version(name), entry, remedy)


def _entry(name: str, version: str, entry: store.Entry | None, remedy: str) -> Finding:
    if entry is None:
        return Finding(name=name, version=version, source="", state="missing", remedy=remedy)
    damage = entry.damage()
    return Finding(
        name=name,
        version=entry.version,
        source=entry.source,
        state="damaged" if damage else "ok",
        remedy=f"{', '.join(damage)} changed. Run: rm -r {entry.path}; {remedy}" if damage else "",
    )


def _training() -> Finding:
    made = training_made()
    return Finding(
        name="training environment",
        version=training.key(),
        source=training.LOCK.name,
        state="ok" if made else "missing",
        remedy="" if made else "The first `yard ship` makes it (torch, 5 GB).",
    )
