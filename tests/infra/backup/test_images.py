"""The registry's content in backups, against a registry in memory; a real one: tests/hosts."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from infra import contract
from infra.backup import images, make, manifest, restore
from infra.environment import Environment
from tests.infra.backup.conftest import Backup

MEDIA = "application/vnd.oci.image.manifest.v1+json"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Memory:
    """What a registry holds, and what it was asked; answers in pages of one."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.asked: list[str] = []

    def add(self, repository: str, tag: str, layer: bytes) -> str:
        parts = [{"digest": _digest(one), "size": len(one)} for one in (b"{}", layer)]
        self.blobs |= {_digest(one): one for one in (b"{}", layer)}
        document = {"mediaType": MEDIA, "config": parts[0], "layers": parts[1:]}
        content = json.dumps(document).encode()
        self.manifests[repository, tag] = self.manifests[repository, _digest(content)] = content
        return _digest(content)

    def client(self) -> httpx.Client:
        transport = httpx.MockTransport(self._answer)
        return httpx.Client(base_url="https://registry.test/v2/", transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v2/")
        self.asked.append(f"{request.method} {path}")
        match path.split("/"):
            case ["_catalog"]:
                return self._page(request, "repositories", {name for name, _ in self.manifests})
            case [name, "tags", "list"]:
                known = {tag for one, tag in self.manifests if one == name}
                return self._page(request, "tags", {tag for tag in known if ":" not in tag})
            case [name, "manifests", reference] if request.method == "PUT":
                content = request.content
                self.manifests[name, reference] = self.manifests[name, _digest(content)] = content
                return httpx.Response(201)
            case [name, "manifests", reference]:
                return self._found(self.manifests.get((name, reference)))
            case [_, "blobs", "uploads", ""]:
                return httpx.Response(202, headers={"location": "/v2/x/blobs/uploads/1?state=a"})
            case [_, "blobs", "uploads", _]:
                assert request.url.params["state"] == "a"
                digest = request.url.params["digest"]
                assert _digest(request.read()) == digest
                self.blobs[digest] = request.content
                return httpx.Response(201)
            case [_, "blobs", digest]:
                return self._found(self.blobs.get(digest))
        return httpx.Response(400)

    def _page(self, request: httpx.Request, key: str, values: set[str]) -> httpx.Response:
        ordered, at = sorted(values), int(request.url.params.get("at", 0))
        headers = {}
        if at + 1 < len(ordered):
            headers["link"] = f'<{request.url.path}?at={at + 1}>; rel="next"'
        return httpx.Response(200, json={key: ordered[at : at + 1]}, headers=headers)

    def _found(self, content: bytes | None) -> httpx.Response:
        if content is None:
            return httpx.Response(404)
        headers = {"docker-content-digest": _digest(content)}
        return httpx.Response(200, content=content, headers=headers)


@pytest.fixture
def memory(env: Environment, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A registry with two images of which one layer is shared, reached as the environment's."""
    held = Memory()
    held.add("digits", "1.0.0", b"weights")
    held.add("embed", "2.0.0", b"weights")

    @contextmanager
    def connect(facts: object) -> Iterator[images.Registry]:
        with held.client() as client:
            yield images.Registry(client)

    monkeypatch.setattr(images, "connect", connect)
    monkeypatch.setattr(make, "_has_registry", lambda env: True)
    monkeypatch.setattr(make, "_released", lambda env: [])
    monkeypatch.setattr(contract, "load", lambda env: None)
    return held


def test_every_image_is_in_the_backup_and_a_shared_layer_once(
    memory: Memory, backup: Backup
) -> None:
    folder = backup(registry=True)

    found = manifest.read(folder)
    named = [(one.repository, one.tag) for one in found.images]
    assert named == [("digits", "1.0.0"), ("embed", "2.0.0")]
    # Both images have the same configuration and layer, so the same manifest.
    assert len(list((folder / manifest.BLOBS).iterdir())) == 3
    assert all(b"weights" not in path.read_bytes() for path in folder.rglob("*.age"))


def test_a_second_backup_reads_and_stores_what_is_new_alone(memory: Memory, backup: Backup) -> None:
    first = backup(registry=True)
    memory.add("digits", "1.0.1", b"better weights")
    memory.asked.clear()

    second = backup(registry=True)

    read = [line for line in memory.asked if "/blobs/" in line]
    assert read == [f"GET digits/blobs/{_digest(b'better weights')}"]
    for path in (first / manifest.BLOBS).iterdir():
        assert path.samefile(second / manifest.BLOBS / path.name)


def test_an_empty_registry_gets_everything_back_and_is_then_left_alone(
    env: Environment, memory: Memory, backup: Backup, key: Path
) -> None:
    folder = backup(registry=True)
    before = (dict(memory.blobs), dict(memory.manifests))
    memory.blobs.clear()
    memory.manifests.clear()

    assert restore.registry(env, folder, key) == ["digits:1.0.0", "embed:2.0.0"]

    assert (memory.blobs, memory.manifests) == before
    assert restore.registry(env, folder, key) == []


def test_an_image_that_only_a_release_names_is_kept_and_a_missing_one_told(
    memory: Memory, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = memory.add("digits", "old", b"old weights")
    del memory.manifests["digits", "old"]
    gone = _digest(b"gone")
    monkeypatch.setattr(make, "_released", lambda env: [("digits", digest), ("digits", gone)])

    found = manifest.read(backup(registry=True))

    assert ("digits", None, digest) in [
        (one.repository, one.tag, one.digest) for one in found.images
    ]
    assert found.missing == (f"digits@{gone}",)


def test_a_blob_that_was_changed_on_the_way_is_not_kept(memory: Memory, backup: Backup) -> None:
    memory.blobs[_digest(b"weights")] = b"other weights"

    with pytest.raises(images.RegistryError, match="changed on the way"):
        backup(registry=True)


def test_a_registry_that_fails_leaves_no_backup(
    memory: Memory, backup: Backup, tmp_path: Path
) -> None:
    del memory.blobs[_digest(b"weights")]

    with pytest.raises(images.RegistryError, match="404"):
        backup(registry=True)

    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".lock"]
