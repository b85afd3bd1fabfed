"""What others script against: documents, schemas, exit codes."""

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from infra import places
from tests.system.house import NAME, House, Kubernetes

pytestmark = pytest.mark.system


def conforms(document: dict[str, Any], schema: str) -> None:
    """Check a document against a schema of ci/schemas, which is itself checked first."""
    path = places.REPOSITORY / "ci/schemas" / f"{schema}.json"
    jsonschema.Draft202012Validator.check_schema(loaded := json.loads(path.read_text()))
    jsonschema.Draft202012Validator(loaded).validate(document)


def test_status_conforms_to_its_schema(house: House) -> None:
    conforms(house.status(), "status")


def test_status_names_the_nodes_as_the_cluster_does(house: House, kubernetes: Kubernetes) -> None:
    nodes = house.status()["nodes"]

    assert [set(node) for node in nodes] == [{"name", "role", "ready", "pool"}] * 3
    assert {node["pool"]: node["role"] for node in nodes} == {
        "control": "control-plane",
        "cpu": "worker",
        "gpu": "worker",
    }
    assert all(node["ready"] is True for node in nodes)
    in_cluster = {node["metadata"]["name"] for node in kubernetes.items("/api/v1/nodes")}
    assert {node["name"] for node in nodes} == in_cluster


def test_status_names_the_pools_of_the_environment_file(house: House) -> None:
    assert [(p["name"], p["kind"], p["simulated"]) for p in house.status()["pools"]] == [
        (pool.name, pool.kind, pool.simulated) for pool in house.environment.pools
    ]


def test_status_tells_a_script_all_that_it_needs_for_a_prediction(
    house: House, example: dict[str, Any]
) -> None:
    service = next(s for s in house.status()["services"] if s["name"] == "digits")

    assert set(service) == {"name", "url", "token_file", "ca_file", "versions"}
    token = Path(service["token_file"]).read_text().strip()
    response = httpx.post(
        f"{service['url']}/v1/predict",
        json={"images": example["images"]},
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=service["ca_file"]),
        trust_env=False,
    )
    assert response.status_code == 200, response.text
    served = response.json()["model"]
    assert service["versions"] == [
        {"version": served["version"], "digest": served["digest"], "weight": 100}
    ]


def test_secrets_on_this_machine_are_for_their_owner_alone(house: House) -> None:
    folder = house.contract.credentials
    open_to_others = [p for p in [folder, *folder.rglob("*")] if p.stat().st_mode & 0o077]

    assert open_to_others == []
    assert not house.contract.kubeconfig.stat().st_mode & 0o077


def test_preview_conforms_to_its_schema_and_counts_no_change(house: House) -> None:
    document = json.loads(house.done("preview", NAME, "--json"))

    conforms(document, "preview")
    assert set(document["changes"]) == {"create", "update", "replace", "delete", "same"}
    assert document["changes"].pop("same") > 0
    assert set(document["changes"].values()) == {0}


def test_the_schemas_refuse_what_is_not_in_the_contract(house: House) -> None:
    document = house.status()
    document["nodes"][0]["ready"] = "yes"

    with pytest.raises(jsonschema.ValidationError, match="yes"):
        conforms(document, "status")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status", "nowhere"), ("nowhere", "test")),
        (("up", "nowhere"), ("nowhere", "test")),
        (("ship", "nomodel", "--to", NAME), ("nomodel",)),
        (("ship", "digits", "--to", NAME, "--canary", "100"), ("100",)),
        (("ship", "digits", "--to", NAME, "--version", "latest"), ("latest",)),
        (("predict", "nomodel", "--in", NAME), ("nomodel", "digits")),
        (("promote", "digits", "--in", NAME), ("digits", "canary")),
        (("abort", "digits", "--in", NAME), ("digits", "stable")),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, tuple) else None,
)
def test_refused_input_exits_with_2_and_names_the_value(
    house: House, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = house.yard(*arguments)

    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    assert [word for word in words if word not in said] == []
    assert "Traceback" not in said


def test_doctor_finds_every_tool(house: House) -> None:
    said = house.done("doctor")

    for tool in ("pulumi", "kubernetes", "containerd", "traefik", "docker.io", "skopeo"):
        assert tool in said


def test_predict_shows_the_digit_and_the_answer(house: House) -> None:
    said = house.done("predict", "digits", "--in", NAME)

    version = house.versions("digits")[0]["version"]
    assert len([line for line in said.splitlines() if "█" in line or "▀" in line]) >= 4
    for word in (version, "ms"):
        assert word in said


def test_logs_come_from_the_pods_of_the_model(house: House, kubernetes: Kubernetes) -> None:
    house.done("predict", "digits", "--in", NAME)
    pods = kubernetes.items(
        "/api/v1/namespaces/models/pods", labelSelector="modelyard.dev/model=digits"
    )

    said = house.done("logs", "digits", "--in", NAME)

    assert said.strip()
    assert any(pod["metadata"]["name"] in said for pod in pods)
