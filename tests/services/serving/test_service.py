"""The whole that Bento serves: our application inside Bento's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.instrumentation import asgi as telemetry
from starlette.applications import Starlette

from services.serving.model import Model
from services.serving.service import service
from tests.services.serving.conftest import picture, serving, write_model
from tests.services.serving.test_application import PREDICT, fault

ROOT = Path(__file__).parents[3]


def bento(model: Model) -> Starlette:
    """What a worker of Bento runs."""

    class Tiny:
        """A service."""

    made: Starlette = service(model)(Tiny).to_asgi()
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the application as Bento serves it."""
    with serving(write_model(tmp_path_factory.mktemp("bento")), build=bento) as opened:
        yield opened


def test_the_hot_route_answers_and_counts_inside_bento(whole: httpx.Client) -> None:
    answer = whole.post(PREDICT, json={"images": [picture(3)]})

    assert answer.status_code == 200
    assert [one["label"] for one in answer.json()["predictions"]] == [3]
    assert f'route="{PREDICT}"' in whole.get("/metrics").text


def test_a_bad_request_is_refused_in_our_form_inside_bento(whole: httpx.Client) -> None:
    answer = whole.post(PREDICT, json={"images": []})

    assert answer.status_code == 400
    assert fault(answer)["code"] == "empty"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_health_is_bentos_own(whole: httpx.Client, path: str) -> None:
    assert whole.get(path).status_code == 200


@pytest.mark.parametrize(("path", "status"), [(PREDICT, 405), ("/nowhere", 404)])
def test_what_is_not_served_is_told_in_our_form_inside_bento(
    whole: httpx.Client, path: str, status: int
) -> None:
    answer = whole.get(path)

    assert answer.status_code == status
    assert fault(answer)["remedy"]


def test_no_request_is_traced_while_nobody_collects_traces(
    whole: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[object] = []

    def trace(*given: object) -> dict[str, object]:
        traced.append(given)
        return {}

    monkeypatch.setattr(telemetry, "collect_request_attributes", trace)

    assert whole.post(PREDICT, json={"images": [picture(3)]}).status_code == 200
    assert traced == []


def test_counters_need_no_files_although_bento_asks_for_them(tmp_path: Path) -> None:
    script = (
        "from services.models.digits import service\n"
        "from services.serving.metrics import Metrics\n"
        "Metrics('digits', '1.0.0', None).request('/v1/predict', 200, 0.1)\n"
    )
    variables = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=variables, check=True)

    assert list(tmp_path.iterdir()) == []
