"""Single files out of Go modules that the wrappers require, such as Pulumi's Python launcher."""

import hashlib
import json
import re
import shutil
from pathlib import Path

from ci.toolchain import gobuild, manifest, store


def ensure(name: str) -> Path:
    """Path of a file of [module_file], from the store or fetched now (seconds; no compiling).

    KeyError for a name that is not listed; BuildError when the module cannot be had or lacks it.
    """
    wanted = manifest.load().module_file[name]
    wrapper = manifest.wrapper(wanted.wrapper)
    version, _ = _pinned(wanted, wrapper)

    def make(folder: Path) -> None:
        variables = gobuild.environment(store.scratch(folder))
        said = gobuild.go(["mod", "download", "-json", wanted.module], wrapper, variables)
        source = Path(json.loads(said)["Dir"]) / wanted.path
        if not source.is_file():
            raise gobuild.BuildError(
                f"{wanted.module} {version} has no {wanted.path}. Correct [module_file.{name}]."
            )
        shutil.copyfile(source, folder / source.name)
        (folder / source.name).chmod(0o755)

    entry = store.ensure(
        name,
        _key(wanted),
        version=version.removeprefix("v"),
        source=f"Go module {wanted.module} {version}",
        make=make,
    )
    return entry.file(Path(wanted.path).name)


def find(name: str) -> store.Entry | None:
    """The file's entry if the store has it; fetches nothing."""
    return store.find(name, _key(manifest.load().module_file[name]))


def _key(wanted: manifest.ModuleFile) -> str:
    version, sums = _pinned(wanted, manifest.wrapper(wanted.wrapper))
    recipe = "\0".join([wanted.model_dump_json(), version, *sums])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def _pinned(wanted: manifest.ModuleFile, wrapper: Path) -> tuple[str, list[str]]:
    """The version in go.mod and the lines of go.sum that verify it."""
    pattern = rf"^(?:require )?\t?{re.escape(wanted.module)} (v\S+)"
    found = re.search(pattern, (wrapper / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise gobuild.BuildError(
            f"{wrapper / 'go.mod'} does not require {wanted.module}. Restore it from git."
        )
    wanted_sums = f"{wanted.module} {found[1]}"
    lines = (wrapper / "go.sum").read_text().splitlines()
    return found[1], [line for line in lines if line.startswith(wanted_sums)]
