"""The archives that were really made: what runs in them, as whom, and what is not in there."""

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.report import silent
from ci.toolchain import catalogue, images, manifest, provide

pytestmark = pytest.mark.apiserver

CATALOGUE = catalogue.load().image
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def blob(archive: Path, digest: str) -> bytes:
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        assert stream is not None
        return stream.read()


def document(archive: images.Archive) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(blob(archive.path, archive.digest))
    return found


def config(archive: images.Archive) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(blob(archive.path, document(archive)["config"]["digest"]))
    return found


def layer(archive: images.Archive, folder: Path) -> Path:
    """The only layer of an image, as a file."""
    (only,) = document(archive)["layers"]
    path = folder / "layer.tar.gz"
    path.write_bytes(blob(archive.path, only["digest"]))
    return path


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_an_image_says_who_runs_what_and_carries_no_time(name: str) -> None:
    archive = images.ensure(name, silent)
    found = config(archive)
    wanted = CATALOGUE[name]

    content = blob(archive.path, archive.digest)
    assert archive.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert found["config"]["User"] == str(wanted.user)
    assert found["config"]["Entrypoint"] == wanted.entrypoint
    assert found["created"] == "1970-01-01T00:00:00Z"
    assert found["architecture"] == manifest.load().debian.architecture


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_an_image_has_its_programs_and_nobody_may_change_them(name: str, tmp_path: Path) -> None:
    wanted = CATALOGUE[name]
    with tarfile.open(layer(images.ensure(name, silent), tmp_path)) as tar:
        members = {one.name.rstrip("/"): one for one in tar}

    for path in [*wanted.families, *wanted.programs]:
        program = members[path.lstrip("/")]
        assert (program.uid, program.mode & 0o777) == (0, 0o755)
    assert [one.name for one in members.values() if one.isfile() and one.mode & 0o6002] == []


@pytest.mark.parametrize(
    "name",
    [name for name, image in CATALOGUE.items() if image.certificates or image.base == "python"],
)
def test_an_image_trusts_debians_authorities_and_none_of_this_machine(
    name: str, tmp_path: Path
) -> None:
    with tarfile.open(layer(images.ensure(name, silent), tmp_path)) as tar:
        stream = tar.extractfile(BUNDLE)
        assert stream is not None
        bundle = stream.read()
    doorkeeper = images.ensure("modelyard/doorkeeper", silent)
    with tarfile.open(layer(doorkeeper, tmp_path)) as tar:
        listing = tar.extractfile("etc/ca-certificates.conf")
        assert listing is not None
        chosen = [line for line in listing.read().decode().splitlines() if line[:1] not in "#!"]

    assert bundle.count(b"BEGIN CERTIFICATE") == len(chosen) > 100


def test_kubeadm_expects_the_references_that_the_images_have() -> None:
    version = manifest.load().family["kubernetes"].version
    kubeadm = provide.family("kubernetes", silent).file("bin/kubeadm")
    said = subprocess.run(
        [kubeadm, "config", "images", "list", "--kubernetes-version", f"v{version}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    ours = {images.ensure(name, silent).reference for name in CATALOGUE if "/" not in name}
    assert set(said.split()) == ours


@pytest.mark.parametrize("family", ["traefik", "argo-rollouts"])
def test_the_resource_definitions_of_a_controller_are_beside_it(family: str) -> None:
    entry = provide.family(family, silent)
    files = manifest.load().family[family].files
    assert files

    for name in files:
        documents = list(yaml.safe_load_all(entry.file(f"share/{name}").read_text()))
        assert {one["kind"] for one in documents if one} == {"CustomResourceDefinition"}
