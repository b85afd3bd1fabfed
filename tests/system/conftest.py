"""The environment `test`, brought up before by `yard up test`; these tests drive it for real."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra import contract, environment, places
from tests.system.house import NAME, Clone, House, Kubernetes, run, told, until


@pytest.fixture(scope="session")
def house() -> House:
    """The environment `test`; fails with the remedy when it is not up."""
    remedy = f"Run `.venv/bin/yard up {NAME}` first; `make test` does so."
    known = environment.load(NAME)
    if not contract.path(NAME).is_file():
        pytest.fail(f"The environment `{NAME}` is not up: no {contract.path(NAME)}. {remedy}")
    found = House(known, contract.load(known))
    try:
        with found.gateway() as gateway:
            answer = gateway.get("/digits/readyz")
    except (httpx.HTTPError, OSError) as error:
        url = found.contract.gateway.url
        pytest.fail(f"The gateway of `{NAME}` at {url} does not answer ({error}). {remedy}")
    if answer.status_code != 200:
        pytest.fail(f"digits is not served in `{NAME}` ({answer.text.strip()}). {remedy}")
    return found


@pytest.fixture(scope="session")
def gateway(house: House) -> Iterator[httpx.Client]:
    """A client of the gateway that carries the environment's token."""
    with house.gateway() as opened:
        yield opened


@pytest.fixture(scope="session")
def kubernetes(house: House) -> Iterator[Kubernetes]:
    """The environment's API server, as its administrator."""
    opened = Kubernetes(house.contract.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    """A namespace of a file's own, which goes away with all that is in it."""
    name = f"tests-{secrets.token_hex(3)}"
    kubernetes.create("/api/v1/namespaces", {"metadata": {"name": name}})
    # The service account of a new namespace appears a moment later; pods are refused until then.
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until("the namespace has its account", lambda: kubernetes.find(account), every=0.1)
    yield name
    kubernetes.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def whole_clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """What a person has after `git clone` and `make setup`; shared, because it takes a while."""
    path = tmp_path_factory.mktemp("clone") / "modelyard"
    for command in (
        ("git", "clone", "--quiet", str(places.REPOSITORY), str(path)),
        ("make", "--directory", str(path), "setup"),
    ):
        result = run(*command)
        assert result.returncode == 0, told(result)
    return Clone(path)


@pytest.fixture
def clone(whole_clone: Clone) -> Iterator[Clone]:
    """A clone to edit; the edits go away with the test."""
    yield whole_clone
    whole_clone.restore()


@pytest.fixture(scope="session")
def example() -> dict[str, Any]:
    """What the documents show of digits: `images`, and beside them the true `labels`."""
    folder = places.REPOSITORY / "services/models/digits"
    document: dict[str, Any] = json.loads((folder / "example.json").read_text())
    return {**document, "labels": json.loads((folder / "example-labels.json").read_text())}
