"""Build a family of tools from its Go module (the closed supply)."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ci.report import Report
from ci.toolchain import manifest, network, store
from infra import refusal

TURN = "go-build"
"""What one process of a machine does at a time."""


class BuildError(Exception):
    """A build that failed; the text says what was run and ends with what the compiler said."""


def ensure(
    name: str, family: manifest.Family, report: Report, wrapper: Path | None = None
) -> store.Entry:
    """Return the family's entry in the store, building it when it is not there."""
    wrapper = wrapper or manifest.wrapper(name)
    return store.ensure(
        name,
        family.key(wrapper),
        version=family.version,
        source=f"Go module {module(family, wrapper)} {family.version}",
        make=lambda folder: _alone(family, wrapper, folder, report),
    )


def module(family: manifest.Family, wrapper: Path) -> str:
    """The module that a wrapper exists for: the one, required or its own, of the first binary."""
    package = next(iter(family.binaries.values()))
    text = (wrapper / "go.mod").read_text()
    known: list[str] = re.findall(r"^module (\S+)", text, re.MULTILINE)
    known += re.findall(r"^(?:require )?\t?(\S+) v\S+", text, re.MULTILINE)
    holders = [name for name in known if f"{package}/".startswith(f"{name}/")]
    if not holders:
        raise BuildError(
            f"{wrapper / 'go.mod'} requires no module that holds {package}. Restore it from git."
        )
    return max(holders, key=len)


def toolchain() -> str:
    """Version of Go on this machine; Refusal when it is absent or older than tools.toml asks."""
    minimum = manifest.load().go.minimum
    remedy = f"Install Go {minimum} or newer, so that `go version` answers, and run this again."
    try:
        said = go(["env", "GOVERSION"], manifest.HERE, dict(os.environ) | {"GOTOOLCHAIN": "local"})
    except FileNotFoundError:
        raise refusal.Refusal("go", None, "it is not on PATH", remedy) from None
    version = said.strip().removeprefix("go")
    if _numbers(version) < _numbers(minimum):
        raise refusal.Refusal("go", version, f"at least {minimum} is needed", remedy)
    return version


def environment(room: Path) -> dict[str, str]:
    """Environment for `go` with caches of its own under ``room``, so that they can be deleted."""
    temporary = room / "tmp"
    temporary.mkdir(exist_ok=True)
    return os.environ | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(room / "build"),
        "GOMODCACHE": str(room / "modules"),
        # modcacherw: else the folder cannot be deleted without a chmod of every directory.
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOTMPDIR": str(temporary),
    }


def go(arguments: list[str], folder: Path, variables: dict[str, str]) -> str:
    """Run `go` in ``folder`` and return what it printed; BuildError ends with what it said.

    network.Unreachable when a module is missing and nobody answers.
    """
    command = ["go", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        network.check(f"Go modules of {folder.name}", done.stderr)
        raise BuildError(_failure(command, done.stderr))
    said: str = done.stdout
    return said


def _alone(family: manifest.Family, wrapper: Path, folder: Path, report: Report) -> None:
    """One family at a time on a machine: two would need twice the memory and be no faster."""
    report("waiting for another build to end", 0, 0)
    with store.turn(TURN):
        _build(family, wrapper, folder, report)


def _build(family: manifest.Family, wrapper: Path, folder: Path, report: Report) -> None:
    toolchain()
    variables = environment(store.scratch(folder))
    report("downloading modules", 0, 1)
    packages = list(family.binaries.values())
    tags = f"-tags={','.join(family.tags)}"
    total = len(go(["list", "-deps", tags, *packages], wrapper, variables).splitlines())
    flags = " ".join(["-s -w", *(f"-X {key}={value}" for key, value in family.ldflags.items())])
    (folder / "bin").mkdir()
    compiled = 0
    for binary, package in family.binaries.items():
        target = folder / "bin" / binary
        # setpriv: a build does not outlive a run that was killed.
        command = ["setpriv", "--pdeathsig", "KILL"]
        command += ["go", "build", "-v", tags, "-ldflags", flags, "-o", str(target), package]
        with subprocess.Popen(
            command, cwd=wrapper, env=variables, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            said: list[str] = []
            for line in process.stderr:
                said.append(line)
                compiled += 1
                report(f"compiling {binary}", min(compiled, total), total)
        if process.returncode:
            raise BuildError(_failure(command, "".join(said)))
    _copy_files(family, wrapper, folder, variables)


def _copy_files(
    family: manifest.Family, wrapper: Path, folder: Path, variables: dict[str, str]
) -> None:
    if not family.files:
        return
    holder = module(family, wrapper)
    source = Path(go(["list", "-m", "-f", "{{.Dir}}", holder], wrapper, variables).strip())
    (folder / "share").mkdir()
    for target, path in family.files.items():
        place = folder / "share" / target
        if (source / path).is_dir():
            # Without the modes: Go's cache of modules is read-only.
            shutil.copytree(source / path, place, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source / path, place)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _failure(command: list[str], said: str) -> str:
    return f"{' '.join(command)} failed:\n{said[-2000:]}"
