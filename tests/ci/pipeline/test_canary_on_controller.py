"""A canary from Pulumi's engine to Argo Rollouts' controller on a real API server, without nodes.

The stand-in provider applies what the program registers, the controller makes ReplicaSets and sets
weights, and a thread says of every pod that it is ready, as a kubelet would.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.pipeline import rollouts, stacks, trouble
from ci.pipeline.rollouts import RolloutFailed
from ci.pipeline.stacks import Changes, Stack
from ci.report import Report, silent
from ci.toolchain import manifest, store
from infra import contract, environment
from infra.environment import Environment
from infra.models import release as releasing
from infra.models.release import Release, Replicas, Resources
from infra.refusal import Refusal
from tests.infra.plugins.apiserver import ApiServer, binary, free_port, running

pytestmark = pytest.mark.apiserver

MODELS = "/namespaces/models"
PODS = f"/api/v1{MODELS}/pods"
ROLLOUT = f"/apis/argoproj.io/v1alpha1{MODELS}/rollouts/digits"
SPLIT = f"/apis/traefik.io/v1alpha1{MODELS}/traefikservices/digits"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def release(version: str, letter: str) -> Release:
    return Release(
        name="digits",
        version=version,
        digest=digest(letter),
        report=digest("f"),
        resources=Resources(cpu="250m", memory="256Mi"),
        replicas=Replicas(min=1, max=3),
    )


class Kubelet(threading.Thread):
    """Says of every pod that it is ready, unless its image is in ``broken``."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__()
        self.server, self.stop, self.broken = server, threading.Event(), ""

    def run(self) -> None:
        while not self.stop.wait(0.2):
            for pod in self.server.get(PODS)["items"]:
                if pod["status"]["phase"] == "Pending":
                    self.answer_for(pod)

    def answer_for(self, pod: dict[str, Any]) -> None:
        image = pod["spec"]["containers"][0]["image"]
        broken = bool(self.broken) and image.endswith(self.broken)
        state = (
            {"waiting": {"reason": "ImagePullBackOff", "message": f"{image}: not found"}}
            if broken
            else {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        )
        ready = "False" if broken else "True"
        path = f"{PODS}/{pod['metadata']['name']}/status?fieldManager=kubelet"
        status = {
            "phase": "Pending" if broken else "Running",
            "conditions": [
                {"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {
                    "name": "model",
                    "image": image,
                    "imageID": image,
                    "ready": not broken,
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        # A pod may be deleted while this is on its way.
        self.server.ask("PATCH", path, {"status": status}, content="application/merge-patch+json")


def definitions() -> Iterator[dict[str, Any]]:
    for family in ("traefik", "argo-rollouts"):
        entry = store.find(family, manifest.load().family[family].key(manifest.wrapper(family)))
        assert entry is not None, f"{family} is not in the store: run `yard up local`"
        for path in sorted((entry.path / "share").iterdir()):
            for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
                if document and document["kind"] == "CustomResourceDefinition":
                    yield document


def until(what: str, reached: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def serves(server: ApiServer, path: str) -> bool:
    return server.ask("GET", path)[0] == 200


@contextmanager
def controller(server: ApiServer, folder: Path) -> Iterator[int]:
    """Argo Rollouts for the namespace ``models``; its process id."""
    command = [
        str(binary("argo-rollouts", "rollouts-controller")),
        f"--kubeconfig={server.kubeconfig}",
        "--namespaced",
        "--namespace=models",
        "--leader-elect=false",
        "--traefik-api-group=traefik.io",
        "--traefik-api-version=traefik.io/v1alpha1",
        f"--metricsport={free_port()}",
        f"--healthzPort={free_port()}",
    ]
    with (folder / "controller.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield process.pid
        assert process.poll() is None, (folder / "controller.log").read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("cluster")
    with running(folder) as started:
        started.namespace("models")
        for document in definitions():
            started.create(DEFINITIONS, document)
        for path in (ROLLOUT, SPLIT):
            collection = path.rpartition("/")[0]
            until(f"{collection} is served", lambda: serves(started, collection))  # noqa: B023
        account = {"metadata": {"name": "model"}}
        started.create(f"/api/v1{MODELS}/serviceaccounts", account)
        with controller(started, folder):
            yield started


@pytest.fixture(scope="module")
def kubelet(server: ApiServer) -> Iterator[Kubelet]:
    kubelet = Kubelet(server)
    kubelet.start()
    yield kubelet
    kubelet.stop.set()
    kubelet.join()


@pytest.fixture(scope="module")
def here(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The environment `local` on that API server, with a state folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setattr(rollouts, "GATEWAY_S", 0.0)  # there is none
        loaded = environment.load("local")
        facts = contract.promised(loaded).model_copy(
            update={"api": server.url, "kubeconfig": server.kubeconfig, "promised": False}
        )
        where = contract.path("local")
        where.parent.mkdir(parents=True)
        where.write_text(facts.model_dump_json())
        stacks.prepare(loaded)
        # The engine and the contract name the same cluster.
        (where.parent / "kubeconfig").write_text(server.kubeconfig.read_text())
        yield loaded


def ship(here: Environment, new: Release, weight: int | None = None) -> None:
    """As `yard ship` does from the release file on."""
    releasing.write(here, releasing.following(releasing.read(here, "digits"), new, weight))
    Stack(here, "models").up(silent)
    rollouts.wait(here, "digits", silent, new.digest)


def shares(here: Environment) -> dict[str, int]:
    (service,) = rollouts.status(here)
    return {one.version: one.weight for one in service.versions}


def weights(server: ApiServer) -> list[tuple[str, int]]:
    services = server.get(SPLIT)["spec"]["weighted"]["services"]
    return [(one["name"], one["weight"]) for one in services]


def images(server: ApiServer) -> set[str]:
    return {
        pod["spec"]["containers"][0]["image"].rpartition("@")[2]
        for pod in server.get(PODS)["items"]
        if "deletionTimestamp" not in pod["metadata"]
    }


EVERYTHING = (Stack.preview, Stack.refresh, Stack.up)


def nothing_changes(
    here: Environment,
    server: ApiServer,
    acts: tuple[Callable[[Stack, Report], Changes], ...] = EVERYTHING,
) -> None:
    """The acts leave the Rollout, the split and the Services as they are."""
    watched = [
        ROLLOUT,
        SPLIT,
        *(f"/api/v1{MODELS}/services/digits-{x}" for x in ("stable", "canary")),
    ]
    before = [server.get(path)["spec"] for path in watched]
    for act in acts:
        changes = act(Stack(here, "models"), silent)
        found = (changes.create, changes.update, changes.replace, changes.delete)
        assert found == (0, 0, 0, 0), f"{act.__name__}: {changes.steps}"
    assert [server.get(path)["spec"] for path in watched] == before


@pytest.fixture(scope="module")
def first(here: Environment, kubelet: Kubelet) -> Release:
    ship(here, release("1.0.0", "a"))
    return release("1.0.0", "a")


def test_a_first_release_gets_all_requests(
    here: Environment, server: ApiServer, first: Release
) -> None:
    assert shares(here) == {"1.0.0": 100}
    assert images(server) == {first.digest}
    assert weights(server) == [("digits-stable", 100), ("digits-canary", 0)]


def test_up_does_not_revert_what_the_autoscaler_did(
    here: Environment, server: ApiServer, first: Release
) -> None:
    server.patch(ROLLOUT, {"spec": {"replicas": 3}}, manager="kube-controller-manager")
    until("three pods are ready", lambda: rollouts.observe(here, "digits").ready == 3)

    nothing_changes(here, server)

    assert server.get(ROLLOUT)["spec"]["replicas"] == 3
    server.patch(ROLLOUT, {"spec": {"replicas": 1}}, manager="kube-controller-manager")
    until("one pod is left", lambda: len(server.get(PODS)["items"]) == 1)


def test_a_rollout_without_pods_is_left_alone(
    here: Environment, server: ApiServer, first: Release
) -> None:
    server.patch(ROLLOUT, {"spec": {"replicas": 0}})
    until("no pod is left", lambda: server.get(PODS)["items"] == [])

    nothing_changes(here, server, (Stack.up,))
    assert rollouts.wait(here, "digits", silent).wanted == 0

    server.patch(ROLLOUT, {"spec": {"replicas": 1}})
    until("a pod is ready", lambda: rollouts.observe(here, "digits").ready == 1)


def test_a_canary_pauses_at_its_weight_and_nobody_else_moves_it(
    here: Environment, server: ApiServer, first: Release
) -> None:
    ship(here, release("1.1.0", "b"), weight=20)

    assert shares(here) == {"1.0.0": 80, "1.1.0": 20}
    assert weights(server) == [("digits-stable", 80), ("digits-canary", 20)]
    assert images(server) == {digest("a"), digest("b")}
    nothing_changes(here, server)
    assert shares(here) == {"1.0.0": 80, "1.1.0": 20}


def test_an_aborted_canary_gives_way_without_a_restart_of_the_stable_pods(
    here: Environment, server: ApiServer, first: Release
) -> None:
    def stable_pods() -> set[str]:
        items = server.get(PODS)["items"]
        wanted = [one for one in items if first.digest in one["spec"]["containers"][0]["image"]]
        return {one["metadata"]["uid"] for one in wanted}

    before = stable_pods()

    rollouts.abort(here, "digits")
    rollouts.abort(here, "digits")  # again, as after an interruption
    rollouts.wait_aborted(here, "digits", silent)
    assert shares(here) == {"1.0.0": 100, "1.1.0": 0}
    releasing.abandon(here, "digits")
    Stack(here, "models").up(silent)
    seen = rollouts.wait(here, "digits", silent, first.digest)

    assert seen.settled
    assert shares(here) == {"1.0.0": 100}
    assert stable_pods() == before


def test_a_promoted_canary_gets_all_requests_and_settling_changes_no_pod(
    here: Environment, server: ApiServer, first: Release
) -> None:
    ship(here, release("1.2.0", "c"), weight=20)
    assert shares(here) == {"1.0.0": 80, "1.2.0": 20}

    rollouts.promote(here, "digits")
    seen = rollouts.wait(here, "digits", silent)
    assert seen.settled
    assert shares(here) == {"1.2.0": 100}
    rollouts.promote(here, "digits")  # again, as after an interruption
    pods = {one["metadata"]["uid"] for one in server.get(PODS)["items"]}
    releasing.settle(here, "digits")
    changes = Stack(here, "models").up(silent)

    assert (changes.update, changes.replace) == (1, 0)  # the steps leave the Rollout
    assert rollouts.wait(here, "digits", silent).settled
    assert {one["metadata"]["uid"] for one in server.get(PODS)["items"]} <= pods
    nothing_changes(here, server, (Stack.preview,))
    with pytest.raises(Refusal, match="has no canary"):
        rollouts.promote(here, "digits")


def test_a_full_release_replaces_the_version_before_it(
    here: Environment, server: ApiServer, first: Release
) -> None:
    ship(here, release("2.0.0", "d"))

    assert shares(here) == {"2.0.0": 100}
    assert weights(server) == [("digits-stable", 100), ("digits-canary", 0)]


def test_a_release_that_cannot_start_is_named_and_leaves_the_requests_where_they_are(
    here: Environment, server: ApiServer, kubelet: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubelet.broken = digest("e")
    monkeypatch.setattr(trouble, "HOPELESS_S", 2.0)
    stable = releasing.read(here, "digits")
    assert stable is not None

    with pytest.raises(RolloutFailed, match=r"ImagePullBackOff.*sha256:eee"):
        ship(here, release("2.1.0", "e"), weight=20)

    assert shares(here) == {"2.0.0": 100, "2.1.0": 0}
    releasing.write(here, stable)
    Stack(here, "models").up(silent)
    assert rollouts.wait(here, "digits", silent, digest("d")).settled
    assert shares(here) == {"2.0.0": 100}


def test_a_removed_release_leaves_nothing(here: Environment, server: ApiServer) -> None:
    releasing.remove(here, "digits")
    changes = Stack(here, "models").up(silent)

    assert changes.delete > 0
    assert rollouts.status(here) == []
    until("no pod is left", lambda: server.get(PODS)["items"] == [])
    for kind in ("middlewares", "ingressroutes", "traefikservices", "serverstransports"):
        assert server.get(f"/apis/traefik.io/v1alpha1{MODELS}/{kind}")["items"] == []
