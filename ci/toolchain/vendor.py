"""The supply `vendor`: releases from vendor.toml's addresses, checked by their pinned sha256."""

import hashlib
import re
import shutil
import ssl
import subprocess
import tarfile
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import BaseModel, StringConstraints

from ci.report import Report, silent
from ci.toolchain import manifest, store
from infra import refusal

FILE = manifest.HERE / "vendor.toml"
_TIMEOUT = httpx.Timeout(30)


class VendorError(Exception):
    """A download that failed or is not what was pinned; nothing of it was kept."""


class Download(BaseModel, extra="forbid", frozen=True):
    """One file of a vendor; vendor.toml says what each key means."""

    url: str
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
    files: dict[str, str]


class Image(BaseModel, extra="forbid", frozen=True):
    """An image that accounts get a copy of; no digest: nobody has looked it up yet."""

    reference: Annotated[str, StringConstraints(pattern=r"^[^@]+:[A-Za-z0-9._-]+$")]
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
    source: str
    """Who says that this version is the right one."""
    date: str


class Vendors(BaseModel, extra="forbid", frozen=True):
    """All of vendor.toml."""

    probe: str
    family: dict[str, list[Download]]
    plugin: dict[str, list[Download]] = {}
    """Pulumi's own plugins, by their package."""
    image: dict[str, Image] = {}

    def unpinned(self) -> list[str]:
        """Families that have a download without a digest."""
        return _unpinned(self.family)

    def unpinned_plugins(self) -> list[str]:
        """Plugins that have one."""
        return _unpinned(self.plugin)


def _unpinned(downloads: dict[str, list[Download]]) -> list[str]:
    return [name for name, files in downloads.items() if not all(one.sha256 for one in files)]


@cache
def load(path: Path = FILE) -> Vendors:
    """Read and check the file; raises pydantic's ValidationError with key and rule."""
    return Vendors.model_validate(tomllib.loads(path.read_text()))


def version(plugin: str) -> str:
    """Version of a plugin: that of the Python package which asks the engine for it."""
    return metadata.version(f"pulumi-{plugin}")


def key(downloads: list[Download]) -> str:
    """Content key of a family's downloads."""
    recipe = "\0".join(one.model_dump_json(exclude={"url"}) for one in downloads)
    return "vendor-" + hashlib.sha256(recipe.encode()).hexdigest()[:16]


def ensure(name: str, version: str, downloads: list[Download], report: Report) -> store.Entry:
    """The family's entry, downloaded when the store lacks it.

    Refusal for a download without a digest; VendorError when one does not come or differs.
    """
    for one in downloads:
        if not one.sha256:
            raise refusal.Refusal(
                f"{FILE}: {name}: sha256",
                "",
                f"{one.url} has no pinned digest, and nothing unpinned is ever run",
                "On an open network run `yard toolchain pin`, compare and commit; or set "
                "supply to closed, which builds the tool.",
            )

    def make(folder: Path) -> None:
        for number, one in enumerate(downloads):
            url = one.url.format(version=version)
            fetched = store.scratch(folder) / str(number)
            found = fetch(url, fetched, report)
            if found != one.sha256:
                raise VendorError(
                    f"{url} has the sha256 {found}, pinned is {one.sha256}. Nothing of it was "
                    "kept. Find out why the vendor's file changed before you pin it anew."
                )
            for target, member in one.files.items():
                _unpack(fetched, member.format(version=version), folder / target, url)

    addresses = ", ".join(one.url.format(version=version) for one in downloads)
    return store.ensure(name, key(downloads), version=version, source=addresses, make=make)


def fetch(url: str, target: Path, report: Report) -> str:
    """Download a file and return its sha256; VendorError when it does not come whole."""
    digest = hashlib.sha256()
    try:
        with (
            _client() as client,
            client.stream("GET", url) as answer,
            target.open("wb") as stream,
        ):
            answer.raise_for_status()
            total = int(answer.headers.get("Content-Length", 0))
            for chunk in answer.iter_bytes(1 << 20):
                digest.update(chunk)
                stream.write(chunk)
                report(f"downloading {url}", stream.tell(), total)
    except httpx.HTTPError as error:
        raise VendorError(
            f"{url} could not be downloaded ({error}). Check the network, or set supply to closed."
        ) from error
    return digest.hexdigest()


def answers(url: str, seconds: float = 5) -> str | None:
    """None when the address answers with success, else why not."""
    try:
        with _client() as client:
            client.head(url, timeout=seconds).raise_for_status()
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return None


def pin(path: Path = FILE, report: Report = silent) -> list[str]:
    """Look up what has no digest, write the digests into the file, return the addresses.

    Trust on first use: a person compares the digests with those that the vendor publishes.
    """
    document = path.read_text()
    pinned: list[str] = []
    vendors = Vendors.model_validate(tomllib.loads(document))
    families = manifest.load().family
    wanted = [(families[name].version, files) for name, files in vendors.family.items()]
    wanted += [(version(name), files) for name, files in vendors.plugin.items()]
    for number, downloads in wanted:
        for one in downloads:
            if one.sha256:
                continue
            fetched = path.with_suffix(".download")
            try:
                found = fetch(one.url.format(version=number), fetched, report)
            finally:
                fetched.unlink(missing_ok=True)
            pattern = rf'(url = "{re.escape(one.url)}"\nsha256 = )""'
            document, count = re.subn(pattern, rf'\g<1>"{found}"', document)
            if count != 1:
                raise VendorError(
                    f'{path}: no line `sha256 = ""` below the one of {one.url}. Put it there.'
                )
            path.write_text(document)  # each at once: an interrupted run keeps what it has
            pinned.append(one.url)
    for name, image in vendors.image.items():
        if image.digest:
            continue
        report(f"asking for the digest of {name}", 0, 0)
        line = f'reference = "{image.reference}"\ndigest = '
        if f'{line}""' not in document:
            raise VendorError(
                f'{path}: no line `digest = ""` below {image.reference}. Put it there.'
            )
        document = document.replace(f'{line}""', f'{line}"{look_up(image.reference)}"')
        path.write_text(document)
        pinned.append(image.reference)
    load.cache_clear()
    return pinned


def look_up(reference: str) -> str:
    """Digest of an image as its registry has it now, of all its architectures together."""
    command = ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", f"docker://{reference}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise VendorError(
            f"{reference} could not be looked up: {done.stderr.strip()[-500:]}. Check the network."
        )
    return done.stdout.strip()


def _client() -> httpx.Client:
    # The machine's certificate authorities, not certifi's: HTTPS may pass a team's own proxy.
    return httpx.Client(
        follow_redirects=True, timeout=_TIMEOUT, verify=ssl.create_default_context()
    )


def _unpack(fetched: Path, member: str, place: Path, url: str) -> None:
    """Put a member of the fetched archive in its place; without a member the file itself."""
    place.parent.mkdir(exist_ok=True)
    if member:
        with tarfile.open(fetched) as archive:
            try:
                stream = archive.extractfile(member)
            except KeyError:
                stream = None
            if stream is None:
                raise VendorError(f"{url} has no file {member}. Correct files in {FILE}.")
            with place.open("wb") as output:
                shutil.copyfileobj(stream, output)
    else:
        shutil.copyfile(fetched, place)
    place.chmod(0o755 if place.parent.name == "bin" else 0o644)
