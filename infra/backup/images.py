"""The content of the environment's registry, read and written as any client does.

So it does not matter where the registry keeps it. Only what a tag or a release names can be asked
for; the registry itself lists nothing else.
"""

import hashlib
import json
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx

from infra.backup.manifest import Image
from infra.contract import Contract

ANY_MANIFEST = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
SECONDS = 60.0
"""Longest wait for an answer; a blob may take longer as a whole."""
CHUNK = 1 << 20


class RegistryError(Exception):
    """The registry does not do what is asked; the text says what it said."""


class Registry:
    """The registry, with the account that this machine pushes with."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def images(self, released: Iterable[tuple[str, str]]) -> tuple[list[Image], list[str]]:
        """Every image that a tag names or that is ``released`` (repository, digest), parts first.

        With what is released and not there, as REPOSITORY@DIGEST.
        """
        found: dict[tuple[str, str | None, str], Image] = {}
        for repository in self._listed("_catalog", "repositories"):
            for tag in sorted(self._listed(f"{repository}/tags/list", "tags")):
                self._add(found, repository, tag, tag)
        missing = []
        known = {(one.repository, one.digest) for one in found.values()}
        for repository, digest in sorted({*released} - known):
            if self._head(f"{repository}/manifests/{digest}"):
                self._add(found, repository, None, digest)
            else:
                missing.append(f"{repository}@{digest}")
        return list(found.values()), missing

    def _add(
        self,
        found: dict[tuple[str, str | None, str], Image],
        repository: str,
        tag: str | None,
        reference: str,
    ) -> None:
        content = self.manifest(repository, reference)
        document: dict[str, Any] = json.loads(content)
        for part in document.get("manifests") or []:
            self._add(found, repository, None, part["digest"])
        parts = [document["config"], *document["layers"]] if "layers" in document else []
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        found[repository, tag, digest] = Image(
            repository=repository,
            tag=tag,
            media_type=document.get("mediaType") or ANY_MANIFEST.split(",")[0],
            digest=digest,
            blobs=tuple(dict.fromkeys(part["digest"] for part in parts)),
        )

    def manifest(self, repository: str, reference: str) -> bytes:
        """An image's manifest by tag or digest, to the byte."""
        answer = self._ask("GET", f"{repository}/manifests/{reference}", accept=ANY_MANIFEST)
        content = answer.content
        if reference.startswith("sha256:"):
            _require(hashlib.sha256(content).hexdigest(), reference)
        return content

    @contextmanager
    def blob(self, repository: str, digest: str) -> Iterator[BinaryIO]:
        """A blob, checked against its digest before it is handed out.

        It passes through an unnamed file of the temporary folder: images hold no secrets.
        """
        with tempfile.TemporaryFile() as kept:
            sha256 = hashlib.sha256()
            with self._client.stream("GET", f"{repository}/blobs/{digest}") as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise _failed(answer)
                for chunk in answer.iter_bytes(CHUNK):
                    sha256.update(chunk)
                    kept.write(chunk)
            _require(sha256.hexdigest(), digest)
            kept.seek(0)
            yield kept

    def has(self, image: Image) -> bool:
        """Whether the image is there, under its tag where it has one."""
        answer = self._head(f"{image.repository}/manifests/{image.tag or image.digest}")
        return answer is not None and answer.headers.get("docker-content-digest") == image.digest

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        return self._head(f"{repository}/blobs/{digest}") is not None

    def push_blob(self, repository: str, digest: str, content: BinaryIO) -> None:
        """Send a blob; the registry compares the digest."""
        place = self._ask("POST", f"{repository}/blobs/uploads/").headers["location"]
        url = self._client.base_url.join(place).copy_merge_params({"digest": digest})
        size = content.seek(0, 2)
        content.seek(0)
        chunks = iter(lambda: content.read(CHUNK), b"")
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._ask("PUT", str(url), content=chunks, headers=headers)

    def push_manifest(self, image: Image, content: bytes) -> None:
        """Send an image's manifest once its blobs are there."""
        _require(hashlib.sha256(content).hexdigest(), image.digest)
        self._ask(
            "PUT",
            f"{image.repository}/manifests/{image.tag or image.digest}",
            content=content,
            headers={"Content-Type": image.media_type},
        )

    def _listed(self, path: str, key: str) -> Iterator[str]:
        following: str | None = f"{path}?n=500"
        while following:
            answer = self._ask("GET", following)
            yield from answer.json().get(key) or []
            link = answer.links.get("next", {}).get("url")
            # The client would put a path behind its own.
            following = str(self._client.base_url.join(link)) if link else None

    def _head(self, path: str) -> httpx.Response | None:
        answer = self._client.head(path, headers={"Accept": ANY_MANIFEST})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise _failed(answer)
        return answer

    def _ask(self, verb: str, path: str, accept: str | None = None, **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | ({"Accept": accept} if accept else {})
        answer = self._client.request(verb, path, headers=headers, **more)
        if answer.is_error:
            raise _failed(answer)
        return answer


@contextmanager
def connect(facts: Contract) -> Iterator[Registry]:
    """The environment's registry as this machine reaches it; RegistryError when it is silent."""
    address = facts.registry.push
    accounts = json.loads((facts.credentials / "docker-config.json").read_text())["auths"]
    with httpx.Client(
        base_url=f"https://{address}/v2/",
        verify=ssl.create_default_context(cafile=facts.credentials / "trust" / "ca.crt"),
        headers={
            "Authorization": f"Basic {accounts[address]['auth']}",
            # Digests are of what is stored.
            "Accept-Encoding": "identity",
        },
        timeout=SECONDS,
        # A proxy of the machine must not get between it and its own registry.
        trust_env=False,
    ) as client:
        try:
            yield Registry(client)
        except httpx.HTTPError as error:
            raise RegistryError(
                f"the registry at {address} does not answer: {error or type(error).__name__}. Look "
                f"at `yard status`, or leave its content out with -e backup_registry=false."
            ) from error


def _failed(answer: httpx.Response) -> RegistryError:
    said = answer.text[:500] if answer.request.method != "HEAD" else ""
    return RegistryError(
        f"{answer.request.method} {answer.request.url} was answered {answer.status_code}: {said}"
    )


def _require(sha256: str, digest: str) -> None:
    if f"sha256:{sha256}" != digest:
        raise RegistryError(
            f"what should be {digest} is sha256:{sha256}: it was changed on the way"
        )
