"""Plain `pulumi` works after `eval "$(yard env test)"`, and sees and repairs what drifted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import places
from tests.system.house import House, Kubernetes, run, told

pytestmark = pytest.mark.system

PROJECTS = {
    "modelyard": places.REPOSITORY,
    "modelyard-models": places.REPOSITORY / "infra/models",
}
BUDGET = "/apis/policy/v1/namespaces/models/poddisruptionbudgets/digits"


@pytest.fixture(params=PROJECTS)
def project(request: pytest.FixtureRequest) -> Path:
    """The folder of each project in turn."""
    return PROJECTS[request.param]


@pytest.fixture
def checkout_stays() -> Iterator[None]:
    """Whatever `git status` said before, it says after."""

    def status() -> str:
        return run("git", "status", "--porcelain").stdout

    before = status()
    yield
    assert status() == before


@pytest.mark.parametrize("command", ["preview", "refresh --yes", "up --yes --skip-preview"])
def test_a_command_by_hand_works_and_finds_nothing_to_change(
    house: House, project: Path, checkout_stays: None, command: str
) -> None:
    result = house.by_hand(project, f"pulumi {command} --non-interactive --expect-no-changes")

    assert result.returncode == 0, told(result)
    assert "unchanged" in result.stdout


def test_the_stack_of_the_environment_is_selected(house: House, project: Path) -> None:
    result = house.by_hand(project, "pulumi stack --show-name --non-interactive")

    assert result.stdout.strip() == "test", told(result)


def test_no_secret_reaches_the_environment_of_a_shell(house: House) -> None:
    said = house.done("env", "test")

    folder = house.contract.credentials
    secrets = [(folder / name).read_text().strip() for name in ("token", "passphrase")]
    assert said.strip()
    assert [secret for secret in secrets if secret in said] == []


def test_a_deleted_object_is_seen_by_a_preview_and_repaired_by_up(
    house: House, kubernetes: Kubernetes
) -> None:
    # The platform's own objects: tests/faults/test_drift.py, by `make test-faults`.
    folder = PROJECTS["modelyard-models"]
    before = kubernetes.get(BUDGET)
    kubernetes.delete(BUDGET)

    seen = house.by_hand(folder, "pulumi preview --refresh --non-interactive --expect-no-changes")
    assert seen.returncode != 0, told(seen)
    assert "1 to create" in seen.stdout, told(seen)
    assert kubernetes.find(BUDGET) is None

    repaired = house.by_hand(folder, "pulumi up --refresh --yes --non-interactive")
    assert repaired.returncode == 0, told(repaired)
    assert "1 created" in repaired.stdout, told(repaired)
    after = kubernetes.get(BUDGET)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"] == before["spec"]


def test_a_lost_label_is_seen_by_a_preview_and_put_back_by_up(
    house: House, kubernetes: Kubernetes
) -> None:
    folder = PROJECTS["modelyard-models"]
    before = kubernetes.get(BUDGET)["metadata"]["labels"]
    kubernetes.patch(BUDGET, {"metadata": {"labels": {"app.kubernetes.io/name": None}}})
    assert kubernetes.get(BUDGET)["metadata"]["labels"] != before

    seen = house.by_hand(folder, "pulumi preview --refresh --non-interactive --expect-no-changes")
    assert seen.returncode != 0, told(seen)
    assert "1 to update" in seen.stdout, told(seen)

    repaired = house.by_hand(folder, "pulumi up --refresh --yes --non-interactive")
    assert repaired.returncode == 0, told(repaired)
    assert kubernetes.get(BUDGET)["metadata"]["labels"] == before


def test_a_field_that_somebody_took_over_is_reported_with_his_name_and_not_fought_over(
    house: House, kubernetes: Kubernetes
) -> None:
    folder = PROJECTS["modelyard-models"]
    before = kubernetes.get(BUDGET)["spec"]
    (limit,) = before.keys() & {"maxUnavailable", "minAvailable"}
    try:
        kubernetes.patch(f"{BUDGET}?fieldManager=somebody", {"spec": {limit: 7}})

        refused = house.by_hand(folder, "pulumi up --refresh --yes --non-interactive")

        assert refused.returncode != 0, told(refused)
        assert f'spec.{limit}: conflict with "somebody"' in refused.stdout, told(refused)
        assert kubernetes.get(BUDGET)["spec"][limit] == 7
    finally:
        # The remedy that needs no change of the program: let up make the object anew.
        kubernetes.delete(BUDGET)
        repaired = house.by_hand(folder, "pulumi up --refresh --yes --non-interactive")
    assert repaired.returncode == 0, told(repaired)
    assert kubernetes.get(BUDGET)["spec"] == before
