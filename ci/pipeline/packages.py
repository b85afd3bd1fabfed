"""The two layers that every model's image begins with: Debian with Python, and the locked packages.

uv installs wheels into a folder on this machine, checked against the lock's hashes: no package of
theirs runs code, nothing is compiled, and neither uv nor a certificate of this machine gets near
the image.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ci.pipeline import oci, venv
from ci.report import Report
from ci.toolchain import debian, manifest, network, store
from infra import places

RECIPE = "3"  # a change here makes the layers anew
PLATFORM = "x86_64-manylinux_2_36"  # Debian bookworm's libc; uv takes only wheels that run there
BASE = "python"
FIRST, SECOND = "debian.tar.gz", "packages.tar.gz"

UNUSED = (
    "numpy/_core/_*_tests.*.so",
    "numpy/_core/_simd.*.so",  # for numpy's own tests
    "numpy/distutils",  # with f2py: compiles extensions
    "numpy/f2py",
    "onnxruntime/datasets",
    "onnxruntime/quantization",  # these three prepare graphs, which was done before packing
    "onnxruntime/tools",
    "onnxruntime/transformers",
)
"""Parts of packages that no service imports; each pattern matches something."""

UNUSED_FOLDERS = {"test", "tests"}
UNUSED_KINDS = {".a", ".c", ".cpp", ".h", ".hpp", ".pxd", ".pyi", ".pyx"}
"""What compilers and type checkers read."""


class PackagesError(Exception):
    """The layers could not be made; the text says what was run and ends with what it said."""


def layers(lock: Path, report: Report) -> list[oci.Layer]:
    """Return both layers, made once for each base and lock."""
    report("the base of the image", 0, 4)
    base = debian.base_entry(BASE, manifest.load().debian.bases[BASE], report, setuid=False)
    digest = hashlib.sha256(lock.read_bytes())
    digest.update(f"{base.path.name} {PLATFORM} {RECIPE}".encode())
    entry = store.ensure(
        "serving-packages",
        digest.hexdigest()[:16],
        version=RECIPE,
        source=f"{lock.relative_to(places.REPOSITORY)} on {base.source}",
        make=lambda folder: _make(base.file(debian.TAR), lock, folder, report),
    )
    return [oci.remembered(entry.file(f"{name}.json")) for name in (FIRST, SECOND)]


def _make(tar: Path, lock: Path, folder: Path, report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="packages-", dir=places.cache()) as scratch:
        root = Path(scratch) / "root"
        with tarfile.open(tar) as archive:
            archive.extractall(root, filter="fully_trusted")  # noqa: S202 - made by ci.toolchain.debian
        python = _version(root)
        inside = f"usr/local/lib/{python}/dist-packages"
        report("installing the locked packages", 1, 4)
        _install(lock, root / inside, python.removeprefix("python"))
        trim(root / inside)
        report("compiling them to bytecode", 2, 4)
        _compile(root, f"/{inside}")
        report("compressing the layers", 3, 4)
        with tar.open("rb") as stream:
            oci.layer(stream, folder / FIRST, "Debian, minbase with Python")
        oci.folder_layer(root / inside, inside, folder / SECOND, f"packages of {lock.name}")
        report("the layers are there", 4, 4)


def _version(root: Path) -> str:
    """`python3.11`: what the base's python3 points to."""
    return (root / "usr/bin/python3").readlink().name


def _install(lock: Path, target: Path, version: str) -> None:
    command = [venv.uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python-platform", PLATFORM, "--link-mode", "copy"]
    command += ["--python-version", version, "--target", str(target), "-r", str(lock)]
    _run(command)
    # Scripts begin with the path of this machine's Python; `python3 -m bentoml` needs none of them.
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)


def trim(packages: Path) -> None:
    """Take away what nothing reads while a service runs: 8 MB of what is compressed."""
    for pattern in UNUSED:
        found = [*packages.glob(pattern)]
        if not found:
            raise PackagesError(f"{pattern} matches nothing in the packages. Correct UNUSED.")
        for path in found:
            _remove(path)
    for path in [*packages.rglob("*")]:
        if path.name in UNUSED_FOLDERS if path.is_dir() else path.suffix in UNUSED_KINDS:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # its folder may be gone already


def _compile(root: Path, inside: str) -> None:
    """Compile with the image's own Python; unchecked, for every file there has the time 0."""
    enter = ["chroot", str(root)]
    if os.geteuid() != 0:
        enter = ["unshare", "--map-root-user", *enter]
    command = ["env", "-i", "PATH=/usr/bin:/bin", "PYTHONHASHSEED=0", "python3", "-m", "compileall"]
    _run([*enter, *command, "-q", "-f", "--invalidation-mode", "unchecked-hash", inside])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        network.check("wheels of the models' images", done.stderr)
        said = (done.stdout + done.stderr)[-3000:]
        raise PackagesError(f"{' '.join(command)} failed with {done.returncode}:\n{said}")
