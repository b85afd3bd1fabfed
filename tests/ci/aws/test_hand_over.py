"""What `yard up` asks of an account beside Pulumi, in one that moto plays."""

import json
from pathlib import Path

import boto3
import pytest
import yaml

from ci.aws import bootstrap, kubeconfig, registry, secret_store, state
from ci.pipeline import account_images, backend, credentials
from ci.pipeline.push import PushError
from ci.report import silent
from ci.toolchain import vendor
from infra import places
from infra.environment import Environment
from infra.foundation import images
from infra.foundation.place import Place
from infra.refusal import Refusal
from tests.infra.test_contract import told


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_an_account_that_was_not_prepared_is_refused_with_the_remedy(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    with pytest.raises(Refusal) as refused:
        backend.of(dev).require()

    assert refused.value.value == f"bucket {here.state_bucket}, key {here.state_key}"
    assert "yard bootstrap dev" in refused.value.remedy


def test_a_prepared_account_has_a_place_for_the_state_and_no_stack_yet(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    bootstrap.run(dev, silent)
    # moto does not read conditions: it takes "deny what comes without TLS" for "deny".
    session.client("s3").delete_bucket_policy(Bucket=here.state_bucket)

    backend.of(dev).require()

    assert backend.of(dev).document("modelyard-foundation") is None
    session.client("s3").put_object(Bucket=here.state_bucket, Key="one", Body=b"content")
    assert state.read(session, here, "one") == b"content"


def empty_secrets(session: boto3.Session) -> None:
    for name in secret_store.KEPT:
        session.client("secretsmanager").create_secret(Name=f"modelyard/dev/{name}")


def test_credentials_of_the_first_machine_are_kept_and_the_second_uses_them(
    session: boto3.Session,
    dev: Environment,
    here: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty_secrets(session)
    first = credentials.ensure(dev)
    assert secret_store.fetch(session, here, first) == []
    assert secret_store.store(session, here, first) == ["token", "certificates"]
    assert secret_store.store(session, here, first) == []

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    second = places.state("dev") / "credentials"
    assert secret_store.fetch(session, here, second) == ["token", "certificates"]
    credentials.ensure(dev)

    for names in secret_store.KEPT.values():
        for name in names:
            assert (second / name).read_bytes() == (first / name).read_bytes()
            assert (second / name).stat().st_mode & 0o777 == 0o600
    assert secret_store.store(session, here, second) == []


def test_the_foundation_makes_a_place_for_every_secret() -> None:
    from infra.foundation.secret_store import NAMES

    assert secret_store.KEPT.keys() <= NAMES.keys()


def test_a_kubeconfig_names_a_command_and_no_secret() -> None:
    document = yaml.safe_load(kubeconfig.text(told()))
    (user,) = document["users"]

    assert list(user["user"]) == ["exec"]
    assert user["user"]["exec"]["args"][2:4] == ["eks", "get-token"]
    assert document["clusters"][0]["cluster"]["server"] == told().api


def test_a_machine_without_the_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Refusal, match=r"program aws.*command line, version 2"):
        kubeconfig.require()


def test_the_password_of_the_registry_lies_in_a_file_of_the_owner_and_goes_again(
    session: boto3.Session, here: Place
) -> None:
    with registry.login(session, "registry.invalid") as path:
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text())["auths"]["registry.invalid"]["auth"]

    assert not path.exists()


def test_an_image_that_the_registry_lacks_is_told_from_one_that_it_has(
    session: boto3.Session,
) -> None:
    client = session.client("ecr")
    absent = "sha256:" + "0" * 64
    assert not registry.has(session, "modelyard/traefik", absent)
    client.create_repository(repositoryName="modelyard/traefik")
    assert not registry.has(session, "modelyard/traefik", absent)

    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    put = client.put_image(
        repositoryName="modelyard/traefik", imageManifest=json.dumps(document), imageTag="1"
    )

    assert registry.has(session, "modelyard/traefik", put["image"]["imageId"]["imageDigest"])


def test_images_without_a_digest_are_refused_before_anything_is_made(dev: Environment) -> None:
    assert dev.aws is not None
    with pytest.raises(Refusal) as refused:
        account_images.require(dev.aws)

    assert refused.value.value == "cluster-autoscaler, nvidia-device-plugin, dcgm-exporter"
    assert "yard toolchain pin" in refused.value.remedy


def test_an_account_without_gpus_needs_no_images_for_them(dev: Environment) -> None:
    assert dev.aws is not None
    plain = dev.aws.model_copy(update={"pools": dev.aws.pools[:1]})

    assert list(images.wanted(plain)) == [*images.BUILT, "cluster-autoscaler"]


def test_what_the_account_has_already_is_not_copied_again(
    session: boto3.Session, dev: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dev.aws is not None
    digests = {name: "sha256:" + f"{number}" * 64 for number, name in enumerate(images.VENDORS)}
    known = {
        name: vendor.Image(
            reference=f"vendor.invalid/{name}:v1", digest=digest, source="-", date="-"
        )
        for name, digest in digests.items()
    }
    found = vendor.Vendors(probe="", family={}, image=known)
    monkeypatch.setattr(vendor, "load", lambda: found)
    monkeypatch.setattr(images, "BUILT", ())
    has = digests["dcgm-exporter"]
    monkeypatch.setattr(registry, "has", lambda session, repository, digest: digest == has)
    copied: list[tuple[str, str]] = []
    monkeypatch.setattr(account_images, "copy", lambda *one: copied.append(one[:2]))

    made = account_images.publish(dev, dev.aws, silent)

    host = dev.aws.registry
    assert copied == [
        (f"docker://vendor.invalid/{name}@{digests[name]}", f"{host}/modelyard/{name}:v1")
        for name in ("cluster-autoscaler", "nvidia-device-plugin")
    ]
    assert {name: one.digest for name, one in made.items()} == {
        f"modelyard/{name}": digests[name] for name in images.wanted(dev.aws)
    }


def test_a_copy_that_fails_says_what_skopeo_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "skopeo"
    program.write_text("#!/bin/sh\necho denied: no rights >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(PushError, match=r"was not copied from .*denied: no rights"):
        account_images.copy("docker://vendor.invalid/a@sha256:1", "host/a:1", tmp_path / "auth")
