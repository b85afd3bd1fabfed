"""The platform on a cluster that a team has, with the team's registry, Prometheus and gateway.

The tests are one story, in the order in which they stand. The cluster is made by the fixture and
taken away at the end; `make test-hosts` runs it while no other environment is up.
"""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from infra import places
from tests.existing import owner
from tests.existing.team import FILES, NAME, Team
from tests.system.house import Kubernetes, run, told, until

pytestmark = pytest.mark.scenarios

OURS = {"gateway", "delivery", "monitoring", "models"}
THEIRS = {"team-registry", "team-monitoring", "team-gateway"}
GATEWAY = "https://localhost:46443"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A clone of what is committed here that has the environments `owner` and `team`, and hosts."""
    folder = tmp_path_factory.mktemp("team")
    clone = folder / "modelyard"
    for command in (
        ("git", "clone", "--quiet", str(places.REPOSITORY), str(clone)),
        ("make", "--directory", str(clone), "setup"),
    ):
        done = run(*command)
        assert done.returncode == 0, told(done)
    for name in (owner.NAME, NAME):
        shutil.copy(FILES / f"Pulumi.{name}.yaml", clone)
    inventory = clone / "ansible" / "inventories" / owner.NAME
    inventory.mkdir()
    shutil.copy(FILES / "hosts.yml", inventory)
    made = Team(checkout=clone, login=folder / "login.json")
    try:
        done = run(clone / ".venv/bin/python", "-m", "tests.existing.owner", inside=clone)
        assert done.returncode == 0, told(done)
        made.settle()
        yield made
    finally:
        for path in (places.state(NAME) / "logs").glob("*"):
            print(
                f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-40:], sep="\n"
            )
        gone = run(clone / ".venv/bin/yard", "down", owner.NAME, inside=clone)
        # On a cluster that is gone there is nothing left to be taken away from.
        shutil.rmtree(places.state(NAME), ignore_errors=True)
        assert gone.returncode == 0, told(gone)


@pytest.fixture(scope="module")
def kubernetes(team: Team) -> Iterator[Kubernetes]:
    opened = team.kubernetes()
    yield opened
    opened.close()


def namespaces(kubernetes: Kubernetes) -> set[str]:
    return {item["metadata"]["name"] for item in kubernetes.items("/api/v1/namespaces")}


def teams(kubernetes: Kubernetes) -> dict[str, tuple[str, int]]:
    """Deployments of the team: their identity, and how often they were changed."""
    return {
        item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"]["generation"])
        for namespace in sorted(THEIRS)
        for item in kubernetes.items(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    }


@pytest.fixture(scope="module")
def before(kubernetes: Kubernetes) -> dict[str, tuple[str, int]]:
    """What the team runs before there is anything of the platform."""
    found = teams(kubernetes)
    assert set(found) == {"registry", "prometheus", "traefik"}
    return found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"storage_class": "fast"}, "storage_class value: fast"),
        ({"prometheus": "observability"}, "prometheus value: observability"),
        ({"existing": ["registry", "gateway", "metrics", "monitoring"]}, "v1beta1.metrics.k8s.io"),
    ],
)
def test_a_cluster_that_is_not_as_described_is_refused_and_gets_nothing(
    team: Team, kubernetes: Kubernetes, before: object, changes: dict[str, Any], expected: str
) -> None:
    team.contract(**changes)

    refused = team.yard("up", NAME)

    assert refused.returncode == 2, told(refused)
    assert expected in " ".join(refused.stderr.split())
    assert not namespaces(kubernetes) & OURS


def test_up_puts_platform_and_model_there_and_a_prediction_comes_through_the_teams_gateway(
    team: Team, kubernetes: Kubernetes, before: object
) -> None:
    team.contract()

    said = team.done("up", NAME)

    assert "digits 1" in said
    answer = json.loads(team.done("predict", "digits", "--in", NAME, "--json"))
    assert answer
    assert namespaces(kubernetes) & (OURS | {"registry", "storage", "accelerators"}) == OURS
    assert "traefik" not in {
        item["metadata"]["name"]
        for item in kubernetes.items("/apis/apps/v1/namespaces/gateway/deployments")
    }


def test_nodes_pull_all_of_it_from_the_teams_registry(kubernetes: Kubernetes) -> None:
    for namespace in sorted(OURS):
        pods = kubernetes.items(f"/api/v1/namespaces/{namespace}/pods")
        assert pods, namespace
        for pod in pods:
            (container,) = pod["status"]["containerStatuses"]
            assert container["ready"], pod["metadata"]["name"]
            assert container["imageID"].startswith("registry.team.internal/ml/")


def test_nobody_passes_without_the_token_and_the_teams_own_routes_are_as_before(
    team: Team,
) -> None:
    token = (places.state(NAME) / "credentials" / "token").read_text().strip()
    asked = f"{GATEWAY}/digits/docs.json"

    refused, wrong = team.ask(asked), team.ask(asked, headers={"Authorization": "Bearer x"})
    passed = team.ask(asked, headers={"Authorization": f"Bearer {token}"})
    unknown = team.ask(f"{GATEWAY}/nothing/")

    assert (refused.status_code, wrong.status_code, passed.status_code) == (401, 401, 200)
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"]
    # By another host name the same entry point is the team's.
    assert team.ask("https://127.0.0.1:46443/-/ready").text.startswith("Prometheus")


def test_the_teams_prometheus_reads_the_models_metrics(team: Team) -> None:
    def scraped() -> bool:
        answer = team.ask(
            "https://127.0.0.1:46443/api/v1/query", params={"query": 'up{job="models"}'}
        )
        values = [float(one["value"][1]) for one in answer.json()["data"]["result"]]
        return bool(values) and set(values) == {1.0}

    assert until("all pods of digits are read", scraped)


def test_the_teams_gateway_splits_requests_as_argo_rollouts_says(team: Team) -> None:
    def answered() -> set[str]:
        told = team.done("predict", "digits", "--in", NAME, "--count", "40", "--json")
        return {answer["model"]["version"] for answer in json.loads(told)}

    (first,) = answered()
    team.done("ship", "digits", "--to", NAME, "--version", "99.0.0", "--canary", "50")
    during = answered()
    team.done("promote", "digits", "--in", NAME)

    assert during == {first, "99.0.0"}
    assert answered() == {"99.0.0"}


def test_status_tells_of_the_teams_nodes_and_of_our_parts(team: Team) -> None:
    found = json.loads(team.done("status", NAME, "--json"))

    (pool,) = found["pools"]
    assert (pool["name"], pool["nodes"]) == ("workers", 1)
    assert {one["namespace"] for one in found["platform"]} == {"delivery", "gateway", "monitoring"}
    assert all(one["ready"] == one["wanted"] > 0 for one in found["platform"])
    (service,) = found["services"]
    assert service["url"] == f"{GATEWAY}/digits"
    assert service["ca_file"] == str(team.ca)


def test_a_second_up_changes_nothing(team: Team) -> None:
    assert "nothing changed" in team.done("up", NAME)


def test_down_takes_away_what_is_ours_and_leaves_what_is_the_teams(
    team: Team, kubernetes: Kubernetes, before: dict[str, tuple[str, int]]
) -> None:
    team.done("down", NAME)

    until("our namespaces are gone", lambda: not namespaces(kubernetes) & OURS)
    assert namespaces(kubernetes) >= THEIRS
    assert teams(kubernetes) == before
    definitions = {
        item["metadata"]["name"]
        for item in kubernetes.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    }
    assert "ingressroutes.traefik.io" in definitions
    assert "rollouts.argoproj.io" not in definitions
    marked = kubernetes.items(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        labelSelector=f"modelyard.dev/environment={NAME}",
    )
    assert marked == []
    assert team.ask("https://127.0.0.1:46443/-/ready").text.startswith("Prometheus")
    assert not places.state(NAME).exists()
