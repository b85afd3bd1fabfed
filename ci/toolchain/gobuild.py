"""Build a family of tools from its Go module (the closed supply)."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ci.report import Report
from ci.toolchain import manifest, store
from infra import places


class BuildError(Exception):
    """A build that failed; the text says what was run and ends with what the compiler said."""


def ensure(name: str, family: manifest.Family, report: Report) -> store.Entry:
    """Return the family's entry in the store, building it when it is not there."""
    wrapper = manifest.wrapper(name)
    return store.ensure(
        name,
        family.key(wrapper),
        version=family.version,
        source=f"Go module {module(family, wrapper)} {family.version}",
        make=lambda folder: _build(name, family, wrapper, folder, report),
    )


def module(family: manifest.Family, wrapper: Path) -> str:
    """The module that a wrapper exists for: the required one that holds the first binary."""
    package = next(iter(family.binaries.values()))
    required: list[str] = re.findall(
        r"^(?:require )?\t?(\S+) v\S+", (wrapper / "go.mod").read_text(), re.MULTILINE
    )
    holders = [name for name in required if f"{package}/".startswith(f"{name}/")]
    if not holders:
        raise BuildError(
            f"{wrapper / 'go.mod'} requires no module that holds {package}. Restore it from git."
        )
    return max(holders, key=len)


def _build(name: str, family: manifest.Family, wrapper: Path, folder: Path, report: Report) -> None:
    scratch = places.cache() / "build"
    scratch.mkdir(parents=True, exist_ok=True)
    for leftover in scratch.glob(
        f"{name}-*"
    ):  # the store's lock is held: no other build of it runs
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=scratch) as caches:
        environment = os.environ | {
            "CGO_ENABLED": "0",
            "GOCACHE": f"{caches}/build",
            "GOMODCACHE": f"{caches}/modules",
            # modcacherw: else the folder cannot be deleted without a chmod of every directory.
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false -trimpath",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOTMPDIR": caches,
        }
        report("downloading modules", 0, 1)
        packages = list(family.binaries.values())
        listed = _go(["list", "-deps", *packages], wrapper, environment)
        total = len(listed.splitlines())
        flags = " ".join(["-s -w", *(f"-X {key}={value}" for key, value in family.ldflags.items())])
        (folder / "bin").mkdir()
        compiled = 0
        for binary, package in family.binaries.items():
            target = folder / "bin" / binary
            command = ["go", "build", "-v", "-ldflags", flags, "-o", str(target), package]
            with subprocess.Popen(
                command, cwd=wrapper, env=environment, stderr=subprocess.PIPE, text=True
            ) as process:
                assert process.stderr is not None
                said: list[str] = []
                for line in process.stderr:
                    said.append(line)
                    compiled += 1
                    report(f"compiling {binary}", min(compiled, total), total)
            if process.returncode:
                raise BuildError(_failure(command, "".join(said)))
        _copy_files(family, wrapper, folder, environment)


def _copy_files(
    family: manifest.Family, wrapper: Path, folder: Path, environment: dict[str, str]
) -> None:
    if not family.files:
        return
    holder = module(family, wrapper)
    source = Path(_go(["list", "-m", "-f", "{{.Dir}}", holder], wrapper, environment).strip())
    (folder / "share").mkdir()
    for target, path in family.files.items():
        shutil.copyfile(source / path, folder / "share" / target)


def _go(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    command = ["go", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(_failure(command, done.stderr))
    said: str = done.stdout
    return said


def _failure(command: list[str], said: str) -> str:
    return f"{' '.join(command)} failed:\n{said[-2000:]}"
