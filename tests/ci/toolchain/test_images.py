"""The catalogue of images, and what the archives say."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from ci.toolchain import catalogue, images, manifest, provide, store
from infra import environment, places
from infra.refusal import Refusal

CATALOGUE = catalogue.load().image

KUBEADM = {
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "etcd",
    "coredns",
    "pause",
}
"""What kubeadm pulls for a control plane."""

ROOT = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd"}
"""Images whose pods kubeadm runs as root."""


def test_the_catalogue_has_all_that_kubeadm_expects_and_our_own() -> None:
    assert {name for name in CATALOGUE if "/" not in name} == KUBEADM
    assert all(name.startswith("modelyard/") for name in set(CATALOGUE) - KUBEADM)
    assert set(images.names()) == {name for name, one in CATALOGUE.items() if one.engine is None}


def test_only_an_environment_that_names_an_engine_has_its_image_and_its_tools() -> None:
    assert set(images.names(engine="cilium")) - set(images.names()) == {"modelyard/cilium"}
    assert "cilium" not in provide.wanted(environment.load("local"))
    assert "cilium" in provide.wanted(environment.load("fenced"))


def test_images_of_kubeadm_carry_the_versions_of_what_is_in_them() -> None:
    version = {name: family.version for name, family in manifest.load().family.items()}
    references = {name: CATALOGUE[name].reference("0" * 16) for name in KUBEADM}

    assert references == {
        "kube-apiserver": f"registry.k8s.io/kube-apiserver:v{version['kubernetes']}",
        "kube-controller-manager": "registry.k8s.io/kube-controller-manager"
        f":v{version['kubernetes']}",
        "kube-scheduler": f"registry.k8s.io/kube-scheduler:v{version['kubernetes']}",
        "kube-proxy": f"registry.k8s.io/kube-proxy:v{version['kubernetes']}",
        "etcd": f"registry.k8s.io/etcd:{version['etcd']}-0",
        "coredns": f"registry.k8s.io/coredns/coredns:v{version['coredns']}",
        "pause": "registry.k8s.io/pause:3.10.2",
    }


def test_an_older_kubernetes_has_images_of_its_own_and_the_rest_is_shared() -> None:
    newest, older = images.names(), images.names("1.35")

    assert images.names("1.36") == newest
    assert all(name == made for name, made in newest.items())
    other = {name for name, made in older.items() if made != name}
    assert other == {name for name in KUBEADM if name.startswith("kube-")} | {"pause"}
    assert (
        catalogue.image(older["kube-proxy"]).reference("") == "registry.k8s.io/kube-proxy:v1.35.4"
    )
    assert catalogue.image(older["pause"]).reference("") == "registry.k8s.io/pause:3.10.1"


def test_a_kubernetes_that_cannot_be_made_is_refused_with_those_that_can() -> None:
    with pytest.raises(Refusal, match=r"1\.36, 1\.35"):
        images.names("1.30")


def test_no_two_images_share_a_repository() -> None:
    repositories = [image.repository for image in CATALOGUE.values()]

    assert len(set(repositories)) == len(repositories)


def test_only_the_control_planes_own_images_and_the_networks_run_as_root() -> None:
    of_root = {name for name, image in CATALOGUE.items() if image.user == 0}

    assert of_root == ROOT | {"modelyard/cilium"}


def test_nodes_get_no_more_than_they_run() -> None:
    on_gpu_nodes = {name for name in images.names() if "gpu" in CATALOGUE[name].nodes}

    assert on_gpu_nodes == {"kube-proxy", "pause", "modelyard/shell", "modelyard/gpu-device-plugin"}


GOOD = {
    "repository": "modelyard.internal/x",
    "tag": "v{etcd}",
    "nodes": ["cpu"],
    "families": {"/x": "etcd/etcd"},
    "user": 65532,
    "entrypoint": ["/x"],
}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"families": {"/x": "etcd/etcdproxy"}}, "families names etcd/etcdproxy"),
        ({"families": {"/x": "nonesuch/x"}}, "families names nonesuch/x"),
        ({"folders": {"/x": "cilium/nonesuch"}}, "folders names cilium/nonesuch"),
        ({"engine": "nonesuch"}, "engine"),
        ({"programs": {"/x": "nonesuch"}}, "programs names nonesuch"),
        ({"base": "nonesuch"}, "base is nonesuch"),
        ({"service": "doorkeeper"}, "a service needs a base"),
        ({"base": "python", "service": "nonesuch"}, "nonesuch, which has no requirements.lock"),
        ({"tag": "v{nonesuch}"}, "tag names nonesuch"),
        ({"user": "root"}, "user"),
        ({"user": -1}, "user"),
        ({"nodes": ["everywhere"]}, "nodes"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_unsound_image_is_refused(change: dict[str, object], rule: str) -> None:
    assert catalogue.Image.model_validate(GOOD)

    with pytest.raises(ValidationError, match=rule):
        catalogue.Image.model_validate(GOOD | change)


def test_a_services_image_is_named_by_its_content(tmp_path: Path) -> None:
    image = CATALOGUE["modelyard/doorkeeper"]
    key = image.key("base of today")

    assert image.reference(key).endswith(f":{key[:12]}")
    assert image.key("base of tomorrow") != key


def test_code_that_changed_makes_another_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = CATALOGUE["modelyard/doorkeeper"]
    code = tmp_path / "services" / "platform" / "doorkeeper" / "app.py"
    code.parent.mkdir(parents=True)
    for init in (tmp_path / "services", tmp_path / "services" / "platform"):
        (init / "__init__.py").touch()
    monkeypatch.setattr(places, "REPOSITORY", tmp_path)
    code.write_text("one")
    before = image.key()
    (code.parent / "__pycache__").mkdir()
    (code.parent / "__pycache__" / "app.pyc").touch()
    assert image.key() == before

    code.write_text("two")

    assert image.key() != before


def test_where_an_image_goes_does_not_change_what_it_is() -> None:
    image = CATALOGUE["modelyard/shell"]

    assert image.model_copy(update={"nodes": ("cpu",)}).key() == image.key()


def test_tools_from_another_supply_make_another_image() -> None:
    pinned = images.key("etcd", "closed")

    assert images.key("etcd", "mirror") == pinned
    assert images.key("etcd", "vendor") != pinned


def archive(path: Path) -> str:
    """Write an OCI archive with an index, and return the digest that it names."""
    content = b'{"schemaVersion": 2}'
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    index = json.dumps({"manifests": [{"digest": digest}]}).encode()
    with tarfile.open(path, "w") as tar:
        for name, text in ((f"blobs/sha256/{digest[7:]}", content), ("index.json", index)):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return digest


def test_an_image_of_the_store_is_found_with_its_digest(cache: Path) -> None:
    assert images.find("etcd") is None
    made: list[str] = []
    entry = store.ensure(
        "image-etcd",
        images.key("etcd"),
        version="1",
        source="test",
        make=lambda folder: made.append(archive(folder / images.ARCHIVE)),
    )

    found = images.find("etcd")

    assert found is not None
    assert found.path == entry.file(images.ARCHIVE)
    assert found.digest == made[0]
    assert found.reference == CATALOGUE["etcd"].reference("")
    assert found.repository == "registry.k8s.io/etcd"
    assert found.nodes == ("control",)
