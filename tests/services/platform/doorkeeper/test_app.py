"""Who may pass, and the words of errors, asked over ASGI."""

import asyncio
import hashlib
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from services.platform.doorkeeper.app import doorkeeper
from services.platform.doorkeeper.errors import FAULTS
from services.platform.doorkeeper.tokens import Tokens

TOKEN = "a-token"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(hashlib.sha256(TOKEN.encode()).hexdigest())
    return path


@pytest.fixture
def app(path: Path) -> Starlette:
    return doorkeeper(Tokens(path))


def ask(
    app: Starlette, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(run())


def counted(app: Starlette, name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(ask(app, "/metrics").text)
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_known_token_passes_with_an_empty_answer(app: Starlette, scheme: str) -> None:
    answer = ask(app, "/auth", headers={"Authorization": f"{scheme} {TOKEN}"})

    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize(
    "header", [None, "", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Token {TOKEN}"]
)
def test_no_bearer_token_is_a_401_that_asks_for_one(app: Starlette, header: str | None) -> None:
    answer = ask(app, "/auth", headers={} if header is None else {"Authorization": header})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="modelyard"'
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("token", ["another", TOKEN + "x", f"{TOKEN} {TOKEN}", "x" * 4000])
def test_a_wrong_token_is_a_401_that_says_so(app: Starlette, token: str) -> None:
    answer = ask(app, "/auth", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert token not in answer.text


def test_a_token_file_that_became_unsound_closes_the_door_without_details(
    app: Starlette, path: Path
) -> None:
    path.write_text("not a hash")

    answer = ask(app, "/auth", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 503
    assert set(answer.json()["error"]) == {"code", "message", "remedy"}
    assert str(path) not in answer.text
    assert ask(app, "/healthz").status_code == 503
    assert counted(app, "doorkeeper_auth_total")[("unsound",)] == 1


@pytest.mark.parametrize("status", sorted(FAULTS))
def test_every_status_has_its_own_words(app: Starlette, status: int) -> None:
    answer = ask(app, f"/errors/{status}")

    assert answer.status_code == status
    assert answer.json() == {"error": FAULTS[status]._asdict()}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("status", [402, 418, 451, 499, 501, 505, 599])
def test_a_status_without_words_keeps_its_number(app: Starlette, status: int) -> None:
    answer = ask(app, f"/errors/{status}")

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "remedy"}


@pytest.mark.parametrize("path", ["/errors/200", "/errors/600", "/errors/x", "/", "/a/b", "/auth/"])
def test_any_other_path_is_a_404_in_json(app: Starlette, path: str) -> None:
    answer = ask(app, path)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_another_method_is_a_405_in_json(app: Starlette) -> None:
    answer = ask(app, "/healthz", method="POST")

    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_fault_of_the_program_is_a_500_without_a_stack_trace(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokens, "opens", lambda *_: 1 / 0)

    answer = ask(app, "/auth", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 500
    assert answer.json() == {"error": FAULTS[500]._asdict()}
    assert "Traceback" not in answer.text


def test_the_metrics_count_each_outcome_from_zero(app: Starlette) -> None:
    before = counted(app, "doorkeeper_auth_total")
    assert before == {("allowed",): 0, ("missing",): 0, ("wrong",): 0, ("unsound",): 0}

    ask(app, "/auth")
    ask(app, "/auth", headers={"Authorization": "Bearer no"})
    ask(app, "/auth", headers={"Authorization": f"Bearer {TOKEN}"})
    ask(app, "/errors/503")

    after = counted(app, "doorkeeper_auth_total")
    assert after == {("allowed",): 1, ("missing",): 1, ("wrong",): 1, ("unsound",): 0}
    assert counted(app, "doorkeeper_errors_total") == {("503",): 1}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_an_error_body_is_the_same_for_every_method(app: Starlette, method: str) -> None:
    answer = ask(app, "/errors/404", method)

    assert answer.status_code == 404
    assert answer.json() == FAULTS[404].body()
