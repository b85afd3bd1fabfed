"""Images of the platform as OCI archives, made by buildah from what the store has.

    archive = images.ensure("modelyard/registry", report)
    # on a node: ctr -n k8s.io images import --digests --base-name REPOSITORY archive.path

An archive depends on nothing but its inputs: layers and configuration carry the time 0. Each build
has a buildah store of its own, deleted with it, so that neither docker nor the user's images are
touched.
"""

import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import uv

from ci.report import Report
from ci.toolchain import catalogue, debian, manifest, network, provide, store, supply
from infra import places
from infra.environment import Engine

ARCHIVE = "image.tar"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


class ImageError(Exception):
    """An image that could not be made; the text ends with what the tool said."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A finished image: an OCI archive, and what it is called on the nodes that get it."""

    path: Path
    reference: str
    digest: str
    nodes: tuple[catalogue.Kind, ...]

    @property
    def repository(self) -> str:
        """The reference without its tag."""
        return self.reference.rsplit(":", 1)[0]


def names(kubernetes: str | None = None, engine: Engine = "bridge") -> dict[str, str]:
    """Images that nodes need, in the order of images.toml, and what to ask for each by.

    They are the same where ``kubernetes``, a minor version, is the newest or none. ``engine`` is
    the environment's network.
    """
    every = catalogue.load().image
    listed = {name: one for name, one in every.items() if one.engine in (None, engine)}
    if manifest.load().kubernetes_of(kubernetes).family == "kubernetes":
        return {name: name for name in listed}
    older = {name: f"{name}@{kubernetes}" for name in listed}
    return {
        name: older[name] if catalogue.image(older[name]) != image else name
        for name, image in listed.items()
    }


def ensure(name: str, report: Report, source: supply.Supply = "closed") -> Archive:
    """The image's archive, from the store or made now; KeyError for a name that is not listed.

    In every supply it is made here; ``source`` says where the tools in it come from. Those that the
    store lacks are made first.
    """
    image = catalogue.image(name)
    reference = image.reference(key(name, source))
    entry = store.ensure(
        _name(name),
        key(name, source),
        version=reference.rsplit(":", 1)[1],
        source=_source(image),
        make=lambda folder: _make(name, source, folder, report),
    )
    return _archive(image, reference, entry)


def find(name: str, source: supply.Supply = "closed") -> Archive | None:
    """The image's archive if the store has it; makes nothing."""
    image = catalogue.image(name)
    found = entry(name, source)
    return _archive(image, image.reference(key(name, source)), found) if found else None


def entry(name: str, source: supply.Supply = "closed") -> store.Entry | None:
    """The image's entry in the store, or None."""
    return store.find(_name(name), key(name, source))


def key(name: str, source: supply.Supply = "closed") -> str:
    """Content key of an image: its recipe and the keys of everything that goes into it."""
    image = catalogue.image(name)
    return image.key(*_inputs(image, source))


def _name(name: str) -> str:
    return f"image-{name.replace('/', '-')}"


def _archive(image: catalogue.Image, reference: str, entry: store.Entry) -> Archive:
    path = entry.file(ARCHIVE)
    return Archive(path=path, reference=reference, digest=digest(path), nodes=image.nodes)


def digest(archive: Path) -> str:
    """Digest of the manifest in an OCI archive with one image."""
    with tarfile.open(archive) as tar:
        stream = tar.extractfile("index.json")
        assert stream is not None
        found: str = json.load(stream)["manifests"][0]["digest"]
    return found


def _inputs(image: catalogue.Image, source: supply.Supply) -> list[str]:
    """Keys of everything that goes into an image and is not in its recipe."""
    tools = manifest.load()
    parts = [*image.families.values(), *image.folders.values()]
    families = sorted({part.split("/")[0] for part in parts})
    inputs = [provide.key(family, source) for family in families]
    inputs += [debian.program_key(program) for program in sorted(image.programs.values())]
    if image.base is not None:
        inputs.append(debian.base_key(tools.debian.bases[image.base], setuid=False))
    return inputs


def _source(image: catalogue.Image) -> str:
    parts = [f"{binary} (tools.toml)" for binary in image.families.values()]
    parts += [f"Debian's {program}" for program in image.programs.values()]
    parts += [f"Debian base {image.base}"] if image.base is not None else []
    parts += [f"services/platform/{image.service}"] if image.service else []
    return ", ".join(parts)


def _make(name: str, source: supply.Supply, folder: Path, report: Report) -> None:
    image = catalogue.image(name)
    reference = image.reference(key(name, source))
    copies: dict[str, Path] = {}
    versions: list[str] = []
    for target, binary in image.families.items():
        family, _, file = binary.partition("/")
        entry = provide.family(family, report, source)
        copies[target] = entry.file(f"bin/{file}")
        versions.append(f"{file} {entry.version}")
    for target, content in image.folders.items():
        family, _, file = content.partition("/")
        copies[target] = provide.family(family, report, source).path / "share" / file
    for target, program in image.programs.items():
        entry = debian.program_entry(program, report)
        copies[target] = entry.file(f"bin/{program}")
        versions.append(entry.file(debian.PACKAGES).read_text().strip())
    base = _base(image.base, report) if image.base is not None else None
    report(f"image {name}", 0, 0)
    work = store.scratch(folder)
    tree = work / "tree"
    tree.mkdir()
    _lay(image, copies, tree, report)
    build = _Buildah(work)
    build.start(base)
    build.run("copy", "--quiet", "--chown", "0:0", build.container, str(tree), "/")
    if image.service:
        # Read-only roots keep no bytecode: without it every start compiles everything again.
        compile_all = ["python3", "-m", "compileall", "-q", "--invalidation-mode"]
        compile_all += ["unchecked-hash", "/app"]
        build.run("run", "--isolation", "chroot", build.container, "--", *compile_all)
    build.configure(image, versions)
    build.commit(folder / ARCHIVE, reference)


def _base(name: str, report: Report) -> Path:
    return debian.base(name, manifest.load().debian.bases[name], report, setuid=False)


def _lay(image: catalogue.Image, copies: dict[str, Path], tree: Path, report: Report) -> None:
    """Lay out under ``tree`` what the image has beyond its base."""
    for target, source in copies.items():
        place = tree / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place)
            continue
        shutil.copyfile(source, place)
        place.chmod(0o755)
    if image.certificates:
        bundle = tree / _BUNDLE
        bundle.parent.mkdir(parents=True)
        bundle.write_bytes(debian.read(_base("python", report), _BUNDLE))
    if image.service:
        for path in image.sources():
            place = tree / "app" / path.relative_to(places.REPOSITORY)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        _wheels(image.folder() / "requirements.lock", tree / "app" / "packages")


def _wheels(lock: Path, target: Path) -> None:
    """Install a lock's wheels for the base's Python; hashes are checked, nothing is compiled."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "--python", sys.executable, "--python-version", "3.11"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--target", str(target)]
    command += ["--link-mode", "copy", "--requirements", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        network.check(f"wheels of {lock.parent.name}", done.stderr)
        raise ImageError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    (target / ".lock").unlink(missing_ok=True)  # uv's own, and writable by everybody


class _Buildah:
    """One working container in a buildah store under ``work``."""

    def __init__(self, work: Path) -> None:
        self._command = ["buildah", "--root", str(work / "root"), "--runroot", str(work / "run")]
        self._command += ["--storage-driver", "vfs"]
        self.container = ""

    def run(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            raise ImageError(
                "buildah is not installed. As root, run: apt-get install buildah"
            ) from None
        if done.returncode:
            raise ImageError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        return done.stdout.strip()

    def start(self, base: Path | None) -> None:
        self.container = self.run("from", "scratch")
        if base is not None:
            self.run("add", "--quiet", self.container, str(base), "/")

    def configure(self, image: catalogue.Image, versions: list[str]) -> None:
        environment = {"PATH": _PATH}
        if image.service:
            environment |= {"PYTHONPATH": "/app:/app/packages", "PYTHONUNBUFFERED": "1"}
            environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
        options = ["--user", str(image.user)]
        options += ["--entrypoint", json.dumps(image.entrypoint)] if image.entrypoint else []
        options += ["--cmd", json.dumps(image.command)] if image.command else []
        for key, value in environment.items():
            options += ["--env", f"{key}={value}"]
        if versions:
            options += ["--label", f"org.opencontainers.image.description={', '.join(versions)}"]
        self.run("config", *options, self.container)

    def commit(self, target: Path, reference: str) -> None:
        options = ["--quiet", "--timestamp", "0", "--format", "oci", "--identity-label=false"]
        # Compressed: half of the disk on this machine and on every node.
        options += ["--disable-compression=false", "--rm"]
        self.run("commit", *options, self.container, f"oci-archive:{target}:{reference}")
