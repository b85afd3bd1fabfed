"""A person adds a model by following docs/add-a-model.md, and it serves."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import places
from tests.system.house import NAME, Clone, House, Kubernetes, run, told, withdraw

pytestmark = pytest.mark.system

PAGE = places.REPOSITORY / "docs/add-a-model.md"
TITLED = re.compile(r'^```\w* title="(?P<path>[^"]+)"\n(?P<content>.*?)^```$', re.M | re.S)


def files() -> dict[str, str]:
    """What the page tells a person to write: path -> content."""
    return {match["path"]: match["content"] for match in TITLED.finditer(PAGE.read_text())}


def model() -> str:
    """The name of the model that the page adds."""
    (name,) = {Path(path).stem for path in files() if path.startswith("bentos/")}
    return name


@pytest.fixture(scope="module")
def added(whole_clone: Clone) -> Iterator[Clone]:
    """A clone in which the page was followed up to its first command."""
    for path, content in files().items():
        target = whole_clone.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    yield whole_clone
    whole_clone.restore()


@pytest.fixture(scope="module")
def shipped(added: Clone, house: House, kubernetes: Kubernetes) -> Iterator[dict[str, Any]]:
    """The new model in the environment, by the page's own command; afterwards it is gone."""
    result = added.yard("ship", model(), "--to", NAME)
    assert result.returncode == 0, told(result)
    (found,) = (s for s in house.status()["services"] if s["name"] == model())
    yield found
    withdraw(house, kubernetes, model())


def test_the_page_edits_nothing_but_the_models_own_files(added: Clone) -> None:
    changed = run("git", "status", "--porcelain", "--untracked-files=all", inside=added.path)
    name = model()
    own = (f"services/models/{name}/", f"bentos/{name}.yaml", f"tests/services/models/{name}/")

    lines = changed.stdout.splitlines()
    assert lines
    assert [
        line for line in lines if not line.startswith(tuple(f"?? {path}" for path in own))
    ] == []


def test_the_pages_tests_of_the_new_model_pass(added: Clone) -> None:
    result = run(
        added.path / ".venv/bin/pytest",
        "-q",
        "-m",
        "not training",
        f"tests/services/models/{model()}",
        inside=added.path,
    )

    assert result.returncode == 0, told(result)


def test_the_new_model_serves_beside_the_first(house: House, shipped: dict[str, Any]) -> None:
    names = [service["name"] for service in house.status()["services"]]

    assert sorted(names) == sorted(["digits", model()])
    assert [version["weight"] for version in shipped["versions"]] == [100]


def test_the_new_model_predicts_through_the_gateway(
    added: Clone, house: House, shipped: dict[str, Any]
) -> None:
    example = json.loads((added.path / f"services/models/{model()}/example.json").read_text())

    with house.gateway() as gateway:
        response = gateway.post(f"/{model()}/v1/predict", json=example)

    assert response.status_code == 200, response.text
    document = response.json()
    # The page's example is one wine of each cultivar, in order.
    labels = [prediction["label"] for prediction in document["predictions"]]
    assert labels == ["cultivar_0", "cultivar_1", "cultivar_2"]
    assert all(0.5 < p["probability"] <= 1 for p in document["predictions"])
    assert document["model"]["name"] == model()
    assert document["model"]["digest"] == shipped["versions"][0]["digest"]


def test_the_new_model_refuses_bad_input_in_the_one_form(
    house: House, shipped: dict[str, Any]
) -> None:
    with house.gateway() as gateway:
        response = gateway.post(f"/{model()}/v1/predict", json={"nonsense": 1})

    assert response.status_code in (400, 422), response.text
    assert set(response.json()["error"]) == {"code", "message", "remedy"}


def test_yard_predict_knows_the_new_model(added: Clone, shipped: dict[str, Any]) -> None:
    result = added.yard("predict", model(), "--in", NAME)

    assert result.returncode == 0, told(result)
    assert shipped["versions"][0]["version"] in result.stdout


def test_shipping_it_again_changes_nothing(
    added: Clone, house: House, shipped: dict[str, Any]
) -> None:
    result = added.yard("ship", model(), "--to", NAME)

    assert result.returncode == 0, told(result)
    assert house.versions(model()) == shipped["versions"]
