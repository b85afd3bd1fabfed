"""A platform image on its way into a registry, with the real skopeo and a real registry."""

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ci.pipeline import account_images, credentials
from ci.toolchain import images
from infra import environment
from tests.infra.plugins.apiserver import binary, free_port

pytestmark = pytest.mark.apiserver


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of a registry on loopback, whose authority skopeo trusts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = credentials.ensure(environment.load("test"))
    monkeypatch.setenv("SSL_CERT_FILE", str(made / "ca.crt"))
    address = f"127.0.0.1:{free_port()}"
    pair = {"certificate": str(made / "registry.crt"), "key": str(made / "registry.key")}
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address, "tls": pair},
    }
    (tmp_path / "config.yml").write_text(json.dumps(settings))
    command = [str(binary("distribution", "registry")), "serve", str(tmp_path / "config.yml")]
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    trust = ssl.create_default_context(cafile=str(made / "ca.crt"))
    try:
        with httpx.Client(base_url=f"https://{address}", verify=trust, trust_env=False) as client:
            _await(client, tmp_path / "registry.log")
            yield client
    finally:
        process.terminate()
        process.wait()


def _await(client: httpx.Client, log: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            client.get("/v2/").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_an_image_that_was_built_arrives_with_the_digest_that_the_contract_names(
    registry: httpx.Client, tmp_path: Path
) -> None:
    made = images.find("modelyard/argo-rollouts")
    assert made is not None, "run `yard up local`, which builds it"
    auth = tmp_path / "auth.json"
    auth.write_text('{"auths": {}}')

    account_images.copy(
        f"oci-archive:{made.path}:{made.reference}",
        f"{registry.base_url.netloc.decode()}/modelyard/argo-rollouts:1",
        auth,
    )

    kept = registry.get(
        f"/v2/modelyard/argo-rollouts/manifests/{made.digest}",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    assert kept.status_code == 200
    assert kept.headers["Docker-Content-Digest"] == made.digest
