"""Debian: root file systems, single programs out of packages, what this machine itself needs.

    tar = debian.base("node", ["systemd", "sudo"], report)   # minbase + packages
    pause = debian.program("catatonit", report)              # a file of a package
    debian.require(report)                                   # installs what this machine lacks

A base is a tar of a root file system without device nodes, caches, manual pages and translations.
It holds nothing of this machine: no certificate authority, no resolver, no host name. mmdebstrap
uses Debian's own archive, or the apt sources in the file that MODELYARD_DEBIAN_SOURCES names (a
team's mirror).
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from ci.report import Report
from ci.toolchain import manifest, network, store
from infra import refusal

TAR = "base.tar"
PACKAGES = "packages.txt"
SOURCES = "MODELYARD_DEBIAN_SOURCES"

_OPTIONS = (
    "--skip=output/dev",  # device nodes can be unpacked by root only, and runtimes mount /dev
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",  # the licences ask for it
    '--aptopt=Acquire::Languages "none"',
    # Else init-system-helpers brings usrmerge and with it all of perl, 50 MB.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
    # The images' files get the time 0, which makes bytecode that checks times stale at every start.
    '--customize-hook=test ! -x "$1/usr/bin/python3" || chroot "$1" python3 -m compileall -q -f'
    " --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.*",
)
_NO_SETUID = '--customize-hook=find "$1" -xdev -type f -perm /6000 -exec chmod ug-s {} +'
_ALWAYS = ["usr-is-merged"]
_IS_DEBIAN = {"debian", "ubuntu"}
_STATUS = re.compile(r"(?:dl|pm)status:[^:]*:([0-9.]+):(.*)")
_STEPS = ("updating", "downloading", "extracting", "installing", "cleaning", "creating tarball")


class DebianError(Exception):
    """A Debian tool that failed; the text says what was run and ends with what it said."""


def base(name: str, packages: list[str], report: Report, *, setuid: bool = True) -> Path:
    """Tar of minbase plus ``packages``, from the store or made now (15 s quiet, 90 s under load).

    The key is the suite, the packages and the options, so that an unchanged list is made once.
    Without ``setuid`` no program keeps the bit that lets it change user: right for every image,
    wrong for a host, whose sudo needs it.
    """
    return base_entry(name, packages, report, setuid=setuid).file(TAR)


def base_entry(
    name: str, packages: list[str], report: Report, *, setuid: bool = True
) -> store.Entry:
    """The base's entry: its tar, and packages.txt with ``NAME VERSION`` of all that is inside."""
    suite = manifest.load().debian.suite
    options = _OPTIONS if setuid else (*_OPTIONS, _NO_SETUID)

    def make(folder: Path) -> None:
        _mmdebstrap("minbase", [*packages, *_ALWAYS], folder / TAR, report, *options)
        (folder / PACKAGES).write_text(_installed(folder / TAR))

    return store.ensure(
        f"debian-{name}",
        base_key(packages, setuid=setuid),
        version=suite,
        source=f"Debian {suite}: {' '.join(['minbase', *packages])}",
        make=make,
    )


def program(name: str, report: Report) -> Path:
    """A program of [debian.programs], taken out of its package without installing it."""
    return program_entry(name, report).file(f"bin/{name}")


def program_entry(name: str, report: Report) -> store.Entry:
    """The program's entry; its version is the package's."""
    debian = manifest.load().debian
    package, path = debian.programs[name]

    def make(folder: Path) -> None:
        tar = folder / TAR
        # The names of downloaded packages are the only record of versions that this variant leaves.
        listing = '--extract-hook=cd "$1/var/cache/apt/archives" && ls > "$1/packages"'
        _mmdebstrap("extract", [package], tar, report, "--skip=output/dev", listing)
        found = re.search(rf"^{re.escape(package)}_(.+)_", read(tar, "packages").decode(), re.M)
        if not found:
            raise DebianError(f"apt did not download {package} for {name}. Look for its new name.")
        (folder / PACKAGES).write_text(f"{package} {found[1].replace('%3a', ':')}\n")
        (folder / "bin").mkdir()
        target = folder / "bin" / name
        target.write_bytes(read(tar, path))
        target.chmod(0o755)
        tar.unlink()

    return store.ensure(
        f"debian-{name}",
        program_key(name),
        version=debian.suite,
        source=f"Debian {debian.suite}, package {package}",
        make=make,
    )


def read(tar: Path, path: str) -> bytes:
    """Content of one file of a base; DebianError when it is not in there."""
    with tarfile.open(tar) as archive:
        try:
            stream = archive.extractfile(f"./{path}")
        except KeyError:
            stream = None
        if stream is None:
            raise DebianError(f"{tar} has no file {path}. Its package was renamed or split.")
        return stream.read()


def versions(entry: store.Entry) -> dict[str, str]:
    """Version by package of everything in a base."""
    lines = entry.file(PACKAGES).read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def base_key(packages: list[str], *, setuid: bool = True) -> str:
    """Content key of a base with these packages."""
    return _key(manifest.load().debian.suite, "minbase", packages, str(setuid))


def program_key(name: str) -> str:
    """Content key of a program of [debian.programs]."""
    debian = manifest.load().debian
    package, path = debian.programs[name]
    return _key(debian.suite, "extract", [package], path)


def _key(suite: str, variant: str, packages: list[str], *more: str) -> str:
    recipe = json.dumps([suite, variant, sorted(packages), _OPTIONS, _ALWAYS, more])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def _mmdebstrap(
    variant: str, packages: list[str], target: Path, report: Report, *options: str
) -> None:
    debian = manifest.load().debian
    command = ["mmdebstrap", f"--variant={variant}", f"--architectures={debian.architecture}"]
    command += [*options, f"--include={','.join(packages)}", debian.suite, str(target)]
    if sources := os.environ.get(SOURCES):
        command.append(sources)
    # SOURCE_DATE_EPOCH: file times of the tar do not differ from one making to the next.
    follow(command, os.environ | {"SOURCE_DATE_EPOCH": "0"}, _STEPS, report)


def missing(packages: list[str] | None = None) -> list[str]:
    """Those of ``packages`` (default: [debian.packages]) that this machine has not installed."""
    wanted = manifest.load().debian.packages if packages is None else packages
    if not shutil.which("dpkg-query"):
        return list(wanted)
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n", *wanted]
    said = subprocess.run(query, capture_output=True, text=True).stdout  # 1 when one is unknown
    present = {line.split()[1] for line in said.splitlines() if line.startswith("installed ")}
    return [package for package in wanted if package not in present]


def require(report: Report, packages: list[str] | None = None) -> list[str]:
    """Install what is missing of ``packages`` (default: [debian.packages]); returns what it was.

    Refusal when this is not root on Debian or Ubuntu, with the command that root should run.
    """
    absent = missing(packages)
    if not absent:
        return []
    install = ["apt-get", "install", "--yes", "--no-install-recommends"]
    refused = refusal.Refusal(
        "packages of this machine",
        " ".join(absent),
        "they are not installed, and only root on Debian or Ubuntu can install them",
        f"As root, run: apt-get update && {' '.join([*install, *absent])}",
    )
    if os.geteuid() != 0 or not _IS_DEBIAN.intersection(system().values()):
        raise refused
    variables = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    report("apt-get update", 0, 0)
    follow(["apt-get", "update", "--quiet"], variables, (), report)
    # Status-Fd: percentages among the output, in lines that begin with dlstatus or pmstatus. A copy
    # of the output and not 1 itself, because apt closes that one for the packages' scripts, and a
    # script that writes then fails ("Unable to flush stdout: Bad file descriptor").
    progress = ["--option", "APT::Status-Fd=3", "--option", "Dpkg::Use-Pty=0", "--quiet"]
    progress += ["--option", "DPkg::Lock::Timeout=300"]  # another installation may be running
    follow([*install, *progress, *absent], variables, (), report, status=True)
    if left := missing(absent):
        raise DebianError(f"apt-get installed {' '.join(absent)}, but dpkg lacks {' '.join(left)}.")
    return absent


def system(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """ID, VERSION_ID and the rest of this machine's os-release; empty where there is none."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def _installed(tar: Path) -> str:
    status = read(tar, "var/lib/dpkg/status").decode()
    lines = []
    for paragraph in status.strip().split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line[:1] != " " and ": " in line
        )
        lines.append(f"{fields['Package']} {fields['Version']}")
    return "\n".join(sorted(lines)) + "\n"


def follow(
    command: list[str],
    environment: dict[str, str],
    steps: tuple[str, ...],
    report: Report,
    *,
    status: bool = False,
) -> None:
    """Run a command, report the steps that its output names; DebianError ends with its output.

    network.Unreachable when the archive does not answer.

    With ``status`` it also has its output as file descriptor 3.
    """
    said: list[str] = []
    try:
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$0" "$@" 3>&1', *command] if status else command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise DebianError(
            f"{command[0]} is not installed. As root, run: apt-get install {command[0]}"
        ) from None
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            for number, step in enumerate(steps):
                if step in line.lower():
                    report(f"{command[0]}: {step}", number, len(steps))
            if found := _STATUS.match(line):
                report(f"{command[0]}: {found[2]}", int(float(found[1])), 100)
    if process.returncode:
        network.check(f"Debian packages for {command[0]}", "".join(said))
        raise DebianError(f"{' '.join(command)} failed:\n{''.join(said)[-2000:]}")
