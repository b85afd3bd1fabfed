"""What a ship and a preview cost with many services: Pulumi's engine on a real API server."""

import re
from collections.abc import Iterator

import pytest

from ci.pipeline import models, stacks, workplace
from ci.report import silent
from infra import contract, environment
from infra.environment import Environment
from infra.models import release as releasing
from infra.models.release import Resources
from tests.ci.pipeline.test_canary_on_controller import DEFINITIONS, definitions, serves, until
from tests.infra.models import samples
from tests.infra.plugins.apiserver import ApiServer, running

pytestmark = pytest.mark.apiserver

TRAEFIK = "/apis/traefik.io/v1alpha1/namespaces/models"
BUDGETS = "/apis/policy/v1/namespaces/models/poddisruptionbudgets"
EACH = 11
"""Resources of one service, its component included."""

OTHERS = 2
"""The stack and the provider."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        started.namespace("models")
        for document in definitions():
            started.create(DEFINITIONS, document)
        until("middlewares are served", lambda: serves(started, f"{TRAEFIK}/middlewares"))
        until("rollouts are served", lambda: serves(started, "/apis/argoproj.io/v1alpha1/rollouts"))
        yield started


@pytest.fixture(scope="module")
def here(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The environment `test` on that API server, with a state folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        loaded = environment.load("test")
        facts = contract.promised(loaded).model_copy(update={"promised": False})
        contract.path("test").parent.mkdir(parents=True)
        contract.path("test").write_text(facts.model_dump_json())
        stacks.prepare(loaded)
        facts.kubeconfig.write_text(server.kubeconfig.read_text())
        yield loaded


def write(here: Environment, index: int, letter: str = "a") -> None:
    releasing.write(
        here,
        samples.release(
            f"m{index:03}",
            digest="sha256:" + letter * 64,
            resources=Resources(cpu="10m", memory="16Mi"),
        ),
    )


def requests(server: ApiServer) -> int:
    """Requests for kinds that nobody but the stand-in asks for, as the API server counts them."""
    answer = server.ask("GET", "/metrics")[1]["message"]
    counts = re.findall(
        r'^apiserver_request_total\{[^}]*resource="(?:middlewares|ingressroutes)"[^}]*\} (\d+)$',
        answer,
        re.MULTILINE,
    )
    return sum(int(count) for count in counts)


def cost_of_a_ship(here: Environment, server: ApiServer, letter: str) -> int:
    before = requests(server)
    write(here, 1, letter)
    changes = models.up(here, silent, only=["m001"])
    assert [step.name for step in changes.steps] == ["Rollout m001-rollout"]
    return requests(server) - before


def test_a_ship_asks_the_api_server_as_much_with_12_services_as_with_3(
    here: Environment, server: ApiServer
) -> None:
    for index in range(3):
        write(here, index)
    assert models.up(here, silent).create == 3 * EACH + OTHERS
    few = cost_of_a_ship(here, server, "b")
    for index in range(3, 12):
        write(here, index)
    added = models.up(here, silent)
    assert (added.create, added.same) == (9 * EACH, 3 * EACH + OTHERS)

    assert few > 0
    assert cost_of_a_ship(here, server, "c") == few


def test_a_preview_without_a_change_asks_for_lists_and_runs_no_program(
    here: Environment, server: ApiServer
) -> None:
    before = requests(server)
    log = contract.path("test").parent / "logs/pulumi-preview-models.log"

    changes = models.preview(here, silent)

    assert (changes.none, changes.same) == (True, 12 * EACH + OTHERS)
    assert requests(server) - before == 2  # one list of each kind
    assert not log.exists()


def test_what_somebody_changed_is_found_and_repaired_without_a_look_at_the_others(
    here: Environment, server: ApiServer
) -> None:
    lost = {"metadata": {"labels": {"app.kubernetes.io/name": None}}}
    server.patch(f"{BUDGETS}/m003", lost)
    server.request("DELETE", f"{TRAEFIK}/middlewares/m005-retry")

    seen = models.preview(here, silent)
    repaired = models.up(here, silent)

    found = {(step.op, step.name) for step in seen.steps}
    assert found == {
        ("update", "PodDisruptionBudget m003-disruption"),
        ("update", "Middleware m005-retry"),
    }
    assert {(step.op, step.name) for step in repaired.steps} == found
    assert server.find(f"{TRAEFIK}/middlewares/m005-retry") is not None
    assert models.up(here, silent).none


def test_what_a_refresh_took_over_is_found_and_repaired(
    here: Environment, server: ApiServer
) -> None:
    path = f"{TRAEFIK}/middlewares/m006-retry"
    before = server.get(path)["metadata"]["labels"]
    server.patch(path, {"metadata": {"labels": {"app.kubernetes.io/name": None}}})
    stacks.Stack(here, "models").refresh(silent)

    seen = models.preview(here, silent)
    models.up(here, silent)

    assert {step.name for step in seen.steps} == {"Middleware m006-retry"}
    assert server.get(path)["metadata"]["labels"] == before
    assert models.up(here, silent).none


def test_what_others_own_is_no_drift(here: Environment, server: ApiServer) -> None:
    split = f"{TRAEFIK}/traefikservices/m004"
    shares = server.get(split)["spec"]["weighted"]["services"]
    shares[0]["weight"], shares[1]["weight"] = 80, 20
    server.patch(split, {"spec": {"weighted": {"services": shares}}}, manager="rollouts-controller")
    selector = {"spec": {"selector": {"rollouts-pod-template-hash": "abc"}}}
    server.patch("/api/v1/namespaces/models/services/m004-canary", selector)

    assert models.preview(here, silent).none


def test_a_removed_release_takes_its_own_objects_alone(
    here: Environment, server: ApiServer
) -> None:
    releasing.remove(here, "m002")

    assert models.preview(here, silent).delete == EACH
    changes = models.up(here, silent)

    assert (changes.delete, changes.same) == (EACH, 11 * EACH + OTHERS)
    left = {one["metadata"]["name"] for one in server.get(BUDGETS)["items"]}
    assert left == {f"m{index:03}" for index in range(12)} - {"m002"}


def test_a_run_that_failed_is_done_again_by_the_next(here: Environment, server: ApiServer) -> None:
    foreign = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": "m020-retry"},
        "spec": {"retry": {"attempts": 1}},
    }
    server.create(f"{TRAEFIK}/middlewares", foreign)
    write(here, 20)
    with pytest.raises(stacks.StackError, match="m020-retry"):
        models.up(here, silent, only=["m020"])
    assert server.find(f"{TRAEFIK}/ingressroutes/m020") is None
    server.request("DELETE", f"{TRAEFIK}/middlewares/m020-retry")

    changes = models.up(here, silent)

    made = {step.name for step in changes.steps if "kubernetes:" in step.urn}
    # The first run may have been stopped before it came to others of the service.
    assert made >= {"Middleware m020-retry", "IngressRoute m020-paths"}
    assert all(" m020-" in name for name in made)
    assert models.up(here, silent).none


def test_what_a_killed_run_made_is_taken_up_by_the_next(
    here: Environment, server: ApiServer
) -> None:
    state = workplace.state_file(here, "models")
    before = state.read_bytes()
    write(here, 30)
    write(here, 1, "d")
    models.up(here, silent)
    made = server.get(f"{TRAEFIK}/middlewares/m030-retry")["metadata"]["uid"]
    # A killed engine has written nothing of what it did: the state is the old one.
    state.write_bytes(before)

    changes = models.up(here, silent)

    assert changes.create == EACH
    assert server.get(f"{TRAEFIK}/middlewares/m030-retry")["metadata"]["uid"] == made
    assert models.up(here, silent).none
