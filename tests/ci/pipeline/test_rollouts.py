"""Roll-outs as an API server tells them, over real HTTP, and what is patched into them."""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from ci.pipeline import rollouts, trouble
from ci.pipeline.cluster import ClusterError
from ci.pipeline.rollout_state import VersionWeight
from ci.pipeline.rollouts import RolloutFailed
from ci.report import silent
from infra import contract, environment
from infra.environment import Environment
from infra.models import release as releasing
from infra.models.release import Release, Resources
from infra.refusal import Refusal

MODELS = "/namespaces/models"
ROLLOUT = f"/apis/argoproj.io/v1alpha1{MODELS}/rollouts/digits"
SPLITS = f"/apis/traefik.io/v1alpha1{MODELS}/traefikservices"


LONG_AGO = "2026-01-01T00:00:00Z"


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def template(version: str, letter: str) -> dict[str, Any]:
    image = f"registry.modelyard.internal/digits@{digest(letter)}"
    return {
        "metadata": {"labels": {"modelyard.dev/model": "digits", "modelyard.dev/version": version}},
        "spec": {"containers": [{"name": "model", "image": image}]},
    }


def replica_set(pod_hash: str, version: str, letter: str, ready: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"digits-{pod_hash}",
            "namespace": "models",
            "labels": {"modelyard.dev/model": "digits", "rollouts-pod-template-hash": pod_hash},
        },
        "spec": {"replicas": 1, "selector": {}, "template": template(version, letter)},
        "status": {"replicas": 1, "readyReplicas": ready},
    }


def pod(pod_hash: str, waiting: dict[str, str] | None = None) -> dict[str, Any]:
    state = {"waiting": waiting} if waiting else {"running": {}}
    status = {"name": "model", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    return {
        "metadata": {
            "name": f"digits-{pod_hash}-x",
            "namespace": "models",
            "uid": "u",
            "labels": {"modelyard.dev/model": "digits", "rollouts-pod-template-hash": pod_hash},
        },
        "status": {"phase": "Pending", "containerStatuses": [{**status, "state": state}]},
    }


class Cluster:
    """What the API server holds, and the patches that it was sent."""

    def __init__(self) -> None:
        self.patches: list[tuple[str, str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self.rollout: dict[str, Any] = {
            "metadata": {"name": "digits", "namespace": "models", "generation": 3},
            "spec": {"strategy": {"canary": {}}, "template": template("1.0.0", "a")},
            "status": {
                "observedGeneration": "3",
                "phase": "Healthy",
                "currentPodHash": "one",
                "stableRS": "one",
            },
        }
        self.sets = [replica_set("one", "1.0.0", "a", ready=1)]
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.weight = 0
        self.weighed = self.selected = LONG_AGO

    def moved(self, when: str) -> dict[str, str]:
        return {"manager": "rollouts-controller", "operation": "Update", "time": when}

    def canary(self, weight: int = 20) -> None:
        """Version 1.1.0 pauses at its weight beside 1.0.0."""
        self.weight = weight
        self.rollout["spec"]["template"] = template("1.1.0", "b")
        self.rollout["spec"]["strategy"]["canary"]["steps"] = [
            {"setWeight": 20},
            {"pause": {}},
        ]
        self.rollout["status"] |= {
            "phase": "Paused",
            "message": "CanaryPauseStep",
            "currentPodHash": "two",
            "currentStepIndex": 1,
            "controllerPause": True,
            "pauseConditions": [{"reason": "CanaryPauseStep"}],
        }
        self.sets.append(replica_set("two", "1.1.0", "b", ready=1))

    def model(self, name: str, **parts: Any) -> dict[str, Any]:
        metadata = {"name": name, "labels": {"modelyard.dev/model": "digits"}}
        return {"metadata": metadata | parts.pop("metadata", {}), **parts}

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any] | None:
        self.asked.append(path)
        if path == ROLLOUT:
            return self.rollout
        if path == ROLLOUT.rpartition("/")[0]:
            return {"items": [self.rollout]}
        if path == SPLITS:
            shares = {"digits-stable": 100 - self.weight, "digits-canary": self.weight}
            services = [{"name": name, "weight": weight} for name, weight in shares.items()]
            metadata = {"creationTimestamp": LONG_AGO, "managedFields": [self.moved(self.weighed)]}
            spec = {"weighted": {"services": services}}
            return {"items": [self.model("digits", metadata=metadata, spec=spec)]}
        if path == f"/api/v1{MODELS}/services":
            fields = {"managedFields": [self.moved(self.selected)]}
            names = ("digits-stable", "digits-canary")
            return {"items": [self.model(name, metadata=fields) for name in names]}
        if path == f"/apis/apps/v1{MODELS}/replicasets":
            return {"items": self.sets}
        if path == f"/api/v1{MODELS}/pods":
            wanted = query["labelSelector"][0].rpartition("=")[2]
            label = "rollouts-pod-template-hash"
            return {
                "items": [one for one in self.pods if one["metadata"]["labels"][label] == wanted]
            }
        if path == f"/api/v1{MODELS}/events":
            return {"items": self.events}
        return None


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def address(cluster: Cluster) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self.reply(cluster.answer(parts.path, parse_qs(parts.query)))

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = urlsplit(self.path).path
            cluster.patches.append((path, self.headers["Content-Type"], body))
            self.reply(cluster.rollout)

        def reply(self, found: dict[str, Any] | None) -> None:
            body = json.dumps(found or {"kind": "Status", "code": 404}).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def here(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment `local` with the server above as its cluster."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(rollouts, "LOOK_S", 0.01)
    loaded = environment.load("local")
    facts = contract.promised(loaded).model_copy(update={"api": address, "promised": False})
    where = contract.path("local")
    where.parent.mkdir(parents=True)
    where.write_text(facts.model_dump_json())
    named = {"name": "it", "cluster": {"server": address}}
    context = {"name": "it", "context": {"cluster": "it", "user": "it"}}
    facts.kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "clusters": [named],
                "contexts": [context],
                "users": [{"name": "it", "user": {}}],
            }
        )
    )
    return loaded


@pytest.fixture
def released(here: Environment) -> Release:
    """The release file of the canary."""
    old = Release(
        name="digits",
        version="1.0.0",
        digest=digest("a"),
        report=digest("f"),
        resources=Resources(cpu="250m", memory="256Mi"),
    )
    new = Release(**{**old.model_dump(), "version": "1.1.0", "digest": digest("b")})
    after = releasing.following(old, new, 20)
    releasing.write(here, after)
    return after


def weights(versions: list[VersionWeight]) -> list[tuple[str, str, int]]:
    return [(one.version, one.digest, one.weight) for one in versions]


def test_status_tells_where_to_ask_and_which_version_answers(here: Environment) -> None:
    (service,) = rollouts.status(here)

    assert service.name == "digits"
    assert service.url == "https://127.0.0.1:8443/digits"
    assert service.token_file.endswith("/local/credentials/token")
    assert str(service.ca_file).endswith("/local/credentials/ca.crt")
    assert weights(service.versions) == [("1.0.0", digest("a"), 100)]


def test_status_of_a_canary_tells_both_versions_and_their_shares(
    here: Environment, cluster: Cluster
) -> None:
    cluster.canary()

    (service,) = rollouts.status(here)

    assert weights(service.versions) == [
        ("1.0.0", digest("a"), 80),
        ("1.1.0", digest("b"), 20),
    ]


def test_a_first_roll_out_has_one_version_and_is_not_settled(
    here: Environment, cluster: Cluster
) -> None:
    cluster.rollout["status"] = {
        "observedGeneration": "3",
        "phase": "Progressing",
        "currentPodHash": "one",
    }

    seen = rollouts.observe(here, "digits")

    assert weights(seen.versions) == [("1.0.0", digest("a"), 100)]
    assert not seen.settled


def test_status_of_a_cluster_without_the_platform_has_no_services(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "answer", lambda *_: None)

    assert rollouts.status(here) == []


def test_status_leaves_out_a_model_that_is_just_being_deleted(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cluster.answer
    monkeypatch.setattr(
        cluster,
        "answer",
        lambda path, query: {"items": []} if path == SPLITS else whole(path, query),
    )

    assert rollouts.status(here) == []


def many(cluster: Cluster, number: int) -> Callable[[str, Any], dict[str, Any] | None]:
    """Answers of a cluster with so many models, all as `digits` is."""
    whole = cluster.answer

    def answer(path: str, query: dict[str, list[str]]) -> dict[str, Any] | None:
        found = whole(path, query)
        if found is None or "items" not in found:
            return found
        text = json.dumps(found["items"])
        copies = [json.loads(text.replace("digits", f"m{index}")) for index in range(number)]
        return {"items": [one for copy in copies for one in copy]}

    return answer


@pytest.mark.parametrize("number", [3, 300])
def test_the_requests_of_a_status_do_not_grow_with_the_number_of_models(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(cluster, "answer", many(cluster, number))

    assert len(rollouts.status(here)) == number
    assert len(cluster.asked) == 4


def test_the_requests_of_a_wait_do_not_grow_with_the_models_that_are_settled(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "answer", many(cluster, 300))

    seen = rollouts.wait_for_all(here, {f"m{index}": None for index in range(300)}, silent)

    assert {one.phase for one in seen.values()} == {"Healthy"}
    assert len(cluster.asked) == 4


def test_waiting_for_several_ends_with_the_last_of_them(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "answer", many(cluster, 2))
    cluster.rollout["status"]["phase"] = "Progressing"
    told: list[str] = []

    def report(text: str, done: int, total: int) -> None:
        told.append(text)
        if len(told) == 2:
            cluster.rollout["status"]["phase"] = "Healthy"

    seen = rollouts.wait_for_all(here, {"m0": None, "m1": digest("a")}, report)

    assert [one.phase for one in seen.values()] == ["Healthy", "Healthy"]
    assert len(told) == 2


def test_a_model_that_does_not_run_is_refused_with_the_remedy(here: Environment) -> None:
    with pytest.raises(Refusal, match=r"'wine'.*yard ship wine --to local"):
        rollouts.observe(here, "wine")


def test_a_silent_api_server_is_a_failure_with_the_remedy(here: Environment) -> None:
    facts = contract.load(here)
    text = facts.kubeconfig.read_text()
    facts.kubeconfig.write_text(text.replace(facts.api, "http://127.0.0.1:1"))

    with pytest.raises(ClusterError, match="yard up local"):
        rollouts.status(here)


def test_promoting_clears_the_pause_as_the_plugin_does(
    here: Environment, cluster: Cluster, released: Release
) -> None:
    cluster.canary()

    rollouts.promote(here, "digits")

    assert cluster.patches == [
        (f"{ROLLOUT}/status", "application/merge-patch+json", {"status": {"pauseConditions": None}})
    ]


def test_promoting_what_is_promoted_already_changes_nothing(
    here: Environment, cluster: Cluster, released: Release
) -> None:
    cluster.canary()
    del cluster.rollout["status"]["pauseConditions"]
    cluster.rollout["status"]["currentStepIndex"] = 2
    rollouts.promote(here, "digits")
    cluster.rollout["status"]["stableRS"] = "two"
    rollouts.promote(here, "digits")

    assert cluster.patches == []


def test_promoting_before_the_canary_has_its_weight_is_refused(
    here: Environment, cluster: Cluster, released: Release
) -> None:
    cluster.canary(weight=0)
    cluster.rollout["status"] |= {"pauseConditions": None, "currentStepIndex": 0}

    with pytest.raises(Refusal, match="not reached its weight yet"):
        rollouts.promote(here, "digits")
    assert cluster.patches == []


def test_promoting_an_aborted_canary_is_refused(
    here: Environment, cluster: Cluster, released: Release
) -> None:
    cluster.canary()
    cluster.rollout["status"]["abort"] = True

    with pytest.raises(Refusal, match=r"was aborted.*yard abort digits --in local"):
        rollouts.promote(here, "digits")
    assert cluster.patches == []


def test_promoting_without_a_canary_is_refused(
    here: Environment, cluster: Cluster, released: Release
) -> None:
    releasing.settle(here, "digits")

    with pytest.raises(Refusal, match=r"has no canary.*--canary WEIGHT"):
        rollouts.promote(here, "digits")
    assert cluster.patches == []


def test_aborting_tells_the_controller_once(here: Environment, cluster: Cluster) -> None:
    cluster.canary()
    rollouts.abort(here, "digits")
    cluster.rollout["status"]["abort"] = True
    rollouts.abort(here, "digits")

    assert cluster.patches == [
        (f"{ROLLOUT}/status", "application/merge-patch+json", {"status": {"abort": True}})
    ]


def test_aborting_when_only_the_stable_version_runs_is_refused(
    here: Environment, cluster: Cluster
) -> None:
    with pytest.raises(Refusal, match="no other version than the stable one"):
        rollouts.abort(here, "digits")
    assert cluster.patches == []


def test_waiting_ends_when_the_roll_out_is_healthy(here: Environment) -> None:
    seen = rollouts.wait(here, "digits", silent, digest("a"))

    assert seen.phase == "Healthy"
    assert seen.settled
    assert (seen.ready, seen.wanted) == (1, 1)


def test_waiting_ends_when_the_canary_has_its_weight(here: Environment, cluster: Cluster) -> None:
    cluster.canary()

    seen = rollouts.wait(here, "digits", silent, digest("b"))

    assert seen.phase == "Paused"
    assert not seen.settled


@pytest.mark.parametrize("moved", ["weighed", "selected"])
def test_waiting_lasts_until_the_gateway_obeys_the_last_change(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("ci.pipeline.rollouts.time.sleep", slept.append)
    setattr(cluster, moved, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    rollouts.wait(here, "digits", silent)

    (seconds,) = slept
    assert 0 < seconds <= rollouts.GATEWAY_S


def test_waiting_costs_nothing_when_nothing_changed_lately(
    here: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci.pipeline.rollouts.time.sleep", lambda _: pytest.fail("slept"))

    assert rollouts.wait(here, "digits", silent).settled


@pytest.mark.parametrize(
    "stale",
    [
        {"observedGeneration": "2"},
        {"phase": "Progressing"},
        {"phase": "Paused", "controllerPause": True, "pauseConditions": None},
    ],
)
def test_waiting_goes_on_while_the_controller_has_not_acted(
    here: Environment, cluster: Cluster, stale: dict[str, Any]
) -> None:
    healthy = copy.deepcopy(cluster.rollout["status"])
    cluster.rollout["status"] |= stale
    told: list[str] = []

    def report(text: str, done: int, total: int) -> None:
        told.append(text)
        if len(told) == 3:
            cluster.rollout["status"] = healthy

    assert rollouts.wait(here, "digits", report).phase == "Healthy"
    assert len(told) >= 3


def test_waiting_for_another_digest_than_what_is_rolled_out_fails(here: Environment) -> None:
    with pytest.raises(RolloutFailed, match="Somebody else shipped"):
        rollouts.wait(here, "digits", silent, digest("c"))


def test_pods_that_cannot_start_are_named_with_the_reason_and_their_last_event(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "HOPELESS_S", 0.05)
    cluster.rollout["status"]["phase"] = "Progressing"
    cluster.pods = [pod("one", {"reason": "ImagePullBackOff", "message": "no such digest"})]
    cluster.events = [
        {
            "metadata": {"name": "e", "namespace": "models"},
            "involvedObject": {"uid": "u"},
            "reason": "Failed",
            "message": "401 from the registry",
            "lastTimestamp": "2026-11-21T00:00:00Z",
        }
    ]

    with pytest.raises(RolloutFailed) as failure:
        rollouts.wait(here, "digits", silent)

    assert "pod digits-one-x: ImagePullBackOff: no such digest" in str(failure.value)
    assert "last event: Failed: 401 from the registry" in str(failure.value)
    assert "yard logs digits --in local" in str(failure.value)


def test_a_pod_that_ends_again_and_again_fails_the_roll_out_between_its_ends_too(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "HOPELESS_S", 0.05)
    cluster.rollout["status"]["phase"] = "Progressing"
    restarting = pod("one")
    restarting["status"]["containerStatuses"][0] |= {"restartCount": 2}
    cluster.pods = [restarting]

    with pytest.raises(RolloutFailed, match="pod digits-one-x"):
        rollouts.wait(here, "digits", silent)


def test_a_crash_is_told_with_its_code(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "HOPELESS_S", 0.05)
    cluster.rollout["status"]["phase"] = "Progressing"
    crashing = pod("one", {"reason": "CrashLoopBackOff", "message": "back-off 10s"})
    crashing["status"]["containerStatuses"][0] |= {
        "restartCount": 3,
        "lastState": {"terminated": {"exitCode": 1}},
    }
    cluster.pods = [crashing]

    with pytest.raises(RolloutFailed, match="ended 3 times, last with code 1"):
        rollouts.wait(here, "digits", silent)


def test_a_degraded_roll_out_fails_with_its_message(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "DEGRADED_S", 0.05)
    cluster.rollout["status"] |= {"phase": "Degraded", "message": "InvalidSpec: no such service"}

    with pytest.raises(RolloutFailed, match=r"InvalidSpec: no such service; it has no pods"):
        rollouts.wait(here, "digits", silent)


def test_waiting_for_an_abort_ends_when_the_canary_gets_nothing(
    here: Environment, cluster: Cluster
) -> None:
    cluster.canary()

    def report(text: str, done: int, total: int) -> None:
        cluster.weight = 0
        cluster.rollout["status"] |= {"phase": "Degraded", "abort": True}

    seen = rollouts.wait_aborted(here, "digits", report)

    assert weights(seen.versions) == [("1.0.0", digest("a"), 100), ("1.1.0", digest("b"), 0)]


def test_an_abort_without_effect_fails_with_the_weight(
    here: Environment, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "HOPELESS_S", 0.05)
    cluster.canary()

    with pytest.raises(RolloutFailed, match="still gets 20 % of the requests"):
        rollouts.wait_aborted(here, "digits", silent)
