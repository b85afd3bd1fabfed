"""The registry's gate: who may do what, as Traefik's own rules say it."""

import base64
from typing import TYPE_CHECKING, Any

import yaml

from infra.platform import registry_settings as settings

if TYPE_CHECKING:
    from tests.infra.platform.conftest import House

HTPASSWD = "push:$2b$08$aaa\npull:$2b$08$bbb\n"


def routers() -> dict[str, Any]:
    http: dict[str, Any] = yaml.safe_load(settings.gate_routes())["http"]
    return http


def test_writers_are_the_push_account_alone_and_readers_are_both() -> None:
    files = settings.accounts(HTPASSWD)

    assert files == {"readers": HTPASSWD, "writers": "push:$2b$08$aaa\n"}


def test_every_request_to_the_registry_is_asked_for_an_account() -> None:
    http = routers()
    reads = "(Method(`GET`) || Method(`HEAD`))"

    rules = {name: (one["rule"], one["middlewares"]) for name, one in http["routers"].items()}
    assert rules == {
        "read": (f"PathPrefix(`/v2/`) && {reads}", ["readers"]),
        "write": (f"PathPrefix(`/v2/`) && !{reads}", ["writers"]),
    }
    for name in ("readers", "writers"):
        assert http["middlewares"][name]["basicAuth"]["usersFile"] == f"{settings.SECRET}/{name}"


def test_the_registry_itself_hears_its_own_pod_only(house: "House") -> None:
    document = yaml.safe_load(settings.registry())

    assert document["http"]["addr"].startswith("127.0.0.1:")
    assert "auth" not in document
    service = house.engine.one("Service", "registry")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["https"]


def test_the_files_that_the_gate_names_are_in_its_secret(house: "House") -> None:
    data = house.engine.one("Secret", "registry")["data"]["value"]

    text = settings.gate_routes()
    for name in ("tls.crt", "tls.key", "readers", "writers"):
        assert f"{settings.SECRET}/{name}" in text
        assert base64.b64decode(data[name])
    assert base64.b64decode(data["writers"]).startswith(b"push:")
    assert b"pull:" not in base64.b64decode(data["writers"])


def test_the_volume_is_as_large_as_the_environment_says(house: "House") -> None:
    claim = house.engine.one("PersistentVolumeClaim", "registry")["spec"]

    asked = claim["resources"]["requests"]["storage"]
    assert asked == f"{house.environment.registry_gib}Gi"
    assert claim["storageClassName"] == "local-path"
