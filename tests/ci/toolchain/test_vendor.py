"""The vendor's supply, against a server on this machine: only what was pinned is kept."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from ci.report import silent
from ci.toolchain import manifest, store, supply, vendor
from infra import refusal
from infra.environment import Environment, load

BINARY = b"#!/bin/sh\necho tool\n" * 1000


def archive(member: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(BINARY)
        tar.addfile(info, io.BytesIO(BINARY))
    return stream.getvalue()


ARCHIVE = archive("tool-v1.0.0/tool")
PAGES = {"/tool-1.0.0": BINARY, "/tool-1.0.0.tar.gz": ARCHIVE, "/cut": BINARY}


class Vendor(BaseHTTPRequestHandler):
    """Serves PAGES; of /cut only the first half, with the length of the whole."""

    def do_GET(self) -> None:
        body = PAGES.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    do_HEAD = do_GET  # noqa: N815 - the base asks for this name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """Address of the vendor."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def download(url: str, content: bytes, member: str = "") -> vendor.Download:
    digest = hashlib.sha256(content).hexdigest()
    return vendor.Download(url=url, sha256=digest, files={"bin/tool": member})


def ensure(*downloads: vendor.Download) -> store.Entry:
    return vendor.ensure("tool", "1.0.0", list(downloads), silent)


def stored(cache: Path) -> list[str]:
    return [path.name for path in (cache / "tools").iterdir() if path.is_dir()]


def test_a_download_with_the_pinned_digest_is_stored_and_executable(cache: Path, site: str) -> None:
    entry = ensure(download(f"{site}/tool-{{version}}", BINARY))

    assert entry.file("bin/tool").read_bytes() == BINARY
    assert entry.file("bin/tool").stat().st_mode & 0o777 == 0o755
    assert entry.source == f"{site}/tool-1.0.0"


def test_a_member_is_taken_out_of_an_archive(cache: Path, site: str) -> None:
    wanted = download(f"{site}/tool-{{version}}.tar.gz", ARCHIVE, "tool-v{version}/tool")

    entry = ensure(wanted)

    assert entry.file("bin/tool").read_bytes() == BINARY
    assert list(entry.files) == ["bin/tool"]


def test_an_archive_without_the_member_is_refused(cache: Path, site: str) -> None:
    with pytest.raises(vendor.VendorError, match="has no file tool-2/tool"):
        ensure(download(f"{site}/tool-1.0.0.tar.gz", ARCHIVE, "tool-2/tool"))

    assert stored(cache) == []


def test_another_digest_is_refused_and_nothing_kept(cache: Path, site: str) -> None:
    good, bad = (hashlib.sha256(text).hexdigest() for text in (BINARY, b"other"))

    with pytest.raises(vendor.VendorError) as failed:
        ensure(download(f"{site}/tool-1.0.0", b"other"))

    assert f"has the sha256 {good}, pinned is {bad}" in str(failed.value)
    assert stored(cache) == []


def test_a_download_that_ends_early_is_refused_and_nothing_kept(cache: Path, site: str) -> None:
    with pytest.raises(vendor.VendorError, match="/cut could not be downloaded"):
        ensure(download(f"{site}/cut", BINARY))

    assert stored(cache) == []


def test_an_address_that_is_gone_is_named(cache: Path, site: str) -> None:
    with pytest.raises(vendor.VendorError, match=r"/gone could not be downloaded .*404"):
        ensure(download(f"{site}/gone", BINARY))

    assert stored(cache) == []


def test_a_tool_without_a_digest_is_refused_before_it_is_asked_for(cache: Path) -> None:
    unpinned = vendor.Download(url="http://127.0.0.1:1/tool", sha256="", files={"bin/tool": ""})

    with pytest.raises(refusal.Refusal) as refused:
        ensure(unpinned)

    assert "no pinned digest" in refused.value.rule
    assert "yard toolchain pin" in refused.value.remedy


def test_one_bad_download_of_several_leaves_nothing(cache: Path, site: str) -> None:
    good = download(f"{site}/tool-1.0.0", BINARY)
    bad = download(f"{site}/gone", BINARY)

    with pytest.raises(vendor.VendorError):
        ensure(good, bad)

    assert stored(cache) == []


def test_pinning_writes_the_digests_that_then_work(cache: Path, site: str, tmp_path: Path) -> None:
    path = tmp_path / "vendor.toml"
    path.write_text(
        f'probe = "{site}/tool-1.0.0"\n\n# a comment stays\n[[family.etcd]]\n'
        f'url = "{site}/tool-1.0.0"\nsha256 = ""\nfiles = {{ "bin/etcd" = "" }}\n'
    )

    assert vendor.pin(path) == [f"{site}/tool-1.0.0"]

    assert "# a comment stays" in path.read_text()
    pinned = vendor.load(path).family["etcd"]
    assert pinned[0].sha256 == hashlib.sha256(BINARY).hexdigest()
    assert vendor.pin(path) == []
    assert vendor.ensure("etcd", "1", pinned, silent).file("bin/etcd").read_bytes() == BINARY


def test_pinning_stops_at_an_address_that_fails_and_keeps_what_it_has(
    cache: Path, site: str, tmp_path: Path
) -> None:
    path = tmp_path / "vendor.toml"
    blocks = "".join(
        f'[[family.etcd]]\nurl = "{site}/{name}"\nsha256 = ""\nfiles = {{ "bin/{name}" = "" }}\n'
        for name in ("tool-1.0.0", "gone")
    )
    path.write_text(f'probe = "{site}/"\n{blocks}')

    with pytest.raises(vendor.VendorError, match="gone"):
        vendor.pin(path)

    first, second = vendor.load(path).family["etcd"]
    assert first.sha256 == hashlib.sha256(BINARY).hexdigest()
    assert second.sha256 == ""
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".download"] == []


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "0" * 63, "latest"])
def test_what_is_no_sha256_is_refused(digest: str) -> None:
    with pytest.raises(ValidationError, match="sha256"):
        vendor.Download(url="http://127.0.0.1/", sha256=digest, files={})


def test_the_vendors_yield_what_the_builds_yield() -> None:
    families = manifest.load().family
    for name, downloads in vendor.load().family.items():
        family = families[name]
        built = {f"bin/{one}" for one in family.binaries} | {f"share/{one}" for one in family.files}
        assert {target for one in downloads for target in one.files} == built, name


def local() -> Environment:
    return load("local")


def test_a_supply_that_was_chosen_is_not_detected(state: Path) -> None:
    chosen = local().model_copy(update={"supply": "mirror"})

    assert supply.resolve(chosen) == "mirror"
    assert not state.exists()


@pytest.mark.parametrize(
    ("pinned", "page", "expected", "reason"),
    [
        (True, "/tool-1.0.0", "vendor", "answers"),
        (True, "/gone", "closed", "does not answer: Client error '404"),
        (False, "/tool-1.0.0", "closed", "no digest for etcd"),
    ],
)
def test_the_supply_is_detected_once_and_recorded_with_its_reason(
    state: Path, site: str, monkeypatch: pytest.MonkeyPatch,
    pinned: bool, page: str, expected: str, reason: str,
) -> None:  # fmt: skip
    entry = download(f"{site}/tool-1.0.0", BINARY)
    entry = entry if pinned else entry.model_copy(update={"sha256": ""})
    vendors = vendor.Vendors(probe=f"{site}{page}", family={"etcd": [entry]})
    monkeypatch.setattr(vendor, "load", lambda: vendors)

    assert supply.resolve(local()) == expected
    assert reason in (state / "local" / supply.RECORD).read_text()

    silent_site = vendor.Vendors(probe="http://127.0.0.1:1/", family={})
    monkeypatch.setattr(vendor, "load", lambda: silent_site)
    assert supply.resolve(local()) == expected


def test_a_network_without_vendors_is_closed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = vendor.Vendors(probe="http://127.0.0.1:1/", family={})
    monkeypatch.setattr(vendor, "load", lambda: nobody)

    assert supply.resolve(local()) == "closed"
