"""Provide the families of tools that an environment needs, one at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ci.report import Report, remark
from ci.toolchain import gobuild, manifest, modulefiles, resources, store, supply, vendor
from infra.environment import Environment

KEPT_GIB = 4.0
"""Room for what stays: all binaries, Debian bases and images (3 GiB measured), and a little air."""


def ensure(environment: Environment, report: Report) -> dict[str, store.Entry]:
    """Provide what `up` needs of tools.toml, and its module files, by the environment's supply."""
    entries = ensure_all(supply.resolve(environment), wanted(environment), report)
    for name in manifest.load().module_file:
        modulefiles.ensure(name)
    return entries


def wanted(environment: Environment) -> list[str]:
    """Families that the environment needs, in the order in which `up` needs them."""
    tools = manifest.load()
    named = [tools.kubernetes_of(environment.kubernetes).family]
    named += ["cilium"] if environment.engine == "cilium" else []
    return list(dict.fromkeys([*tools.families("up"), *named]))


def ensure_all(
    source: supply.Supply,
    families: Iterable[str],
    report: Report,
    read: Callable[[], resources.Reading] = resources.read,
) -> dict[str, store.Entry]:
    """Provide families one after the other: two cores and their memory suffice for one build.

    Before work starts, needed and free disk and memory are reported, and too little is refused.
    Progress counts seconds of the estimates in tools.toml.
    """
    tools = manifest.load()
    wanted = list(families)
    absent = [name for name in wanted if find(name, source) is None]
    if absent:
        store.root().mkdir(parents=True, exist_ok=True)
        store.tidy()
        need, free = needed(absent), read()
        remark(report, f"to make: {', '.join(absent)} ({need.words(free)})")
        resources.check(need, free)
    whole = _Whole(report, sum(tools.family[name].seconds for name in absent))
    entries = {}
    for name in wanted:
        entries[name] = family(name, whole.part(name), source)
        if name in absent:
            whole.finish(tools.family[name].seconds)
    return entries


def family(name: str, report: Report, source: supply.Supply = "closed") -> store.Entry:
    """One family's entry, from the store, downloaded or built."""
    wanted = manifest.load().family[name]
    downloads = _downloads(name, source)
    if downloads:
        return vendor.ensure(name, wanted.version, downloads, report)
    return gobuild.ensure(name, wanted, report)


def find(name: str, source: supply.Supply = "closed") -> store.Entry | None:
    """One family's entry if the store has it; makes nothing."""
    return store.find(name, key(name, source))


def definitions(source: supply.Supply) -> dict[str, Path]:
    """Folders with custom resource definitions, by component, as the store has them."""
    families = {"traefik": "traefik", "rollouts": "argo-rollouts"}
    found = {component: find(family, source) for component, family in families.items()}
    return {name: entry.path / "share" for name, entry in found.items() if entry}


def key(name: str, source: supply.Supply = "closed") -> str:
    """Content key of a family in a supply."""
    downloads = _downloads(name, source)
    if downloads:
        return vendor.key(downloads)
    return manifest.load().family[name].key(manifest.wrapper(name))


def needed(absent: Iterable[str]) -> resources.Need:
    """What making these families takes. Build caches go after each, so only the largest counts."""
    families = [manifest.load().family[name] for name in absent]
    return resources.Need(
        disk_gib=KEPT_GIB + max((one.disk_gib for one in families), default=0),
        memory_gib=max((one.memory_gib for one in families), default=0),
        seconds=sum(one.seconds for one in families),
    )


def _downloads(name: str, source: supply.Supply) -> list[vendor.Download]:
    return vendor.load().family.get(name, []) if source == "vendor" else []


@dataclass
class _Whole:
    """Progress over several builds: expected seconds of what is done, of all expected seconds."""

    report: Report
    total: int
    done: int = 0

    def part(self, name: str) -> Report:
        """Report for one family: its own fraction counts for its share of the whole."""
        seconds = manifest.load().family[name].seconds

        def report(text: str, done: int, total: int) -> None:
            here = self.done + (round(seconds * done / total) if total else 0)
            self.report(f"{name}: {text}", here, self.total)

        return report

    def finish(self, seconds: int) -> None:
        """Count a family as done, whatever it took."""
        self.done += seconds
