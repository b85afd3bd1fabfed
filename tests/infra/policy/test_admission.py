"""The same rules at a real API server, which kubectl cannot go past."""

import copy
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import contract, environment
from infra.platform.admission import Admission, AdmissionArgs
from infra.policy import workload_rules
from tests.infra.conftest import Engine
from tests.infra.plugins.apiserver import ApiServer, binary, own_environment, running
from tests.infra.policy.cases import ALLOWED, GOOD, REFUSED, Case, main

pytestmark = pytest.mark.apiserver

COLLECTIONS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
BAD = next(case for case in REFUSED if case.rule == "image-by-digest")
# Kinds that make pods: collection, and where their pod's template stands.
MAKERS = {
    "Deployment": ("/apis/apps/v1/namespaces/{}/deployments", ("template",)),
    "ReplicaSet": ("/apis/apps/v1/namespaces/{}/replicasets", ("template",)),
    "StatefulSet": ("/apis/apps/v1/namespaces/{}/statefulsets", ("template",)),
    "DaemonSet": ("/apis/apps/v1/namespaces/{}/daemonsets", ("template",)),
    "ReplicationController": ("/api/v1/namespaces/{}/replicationcontrollers", ("template",)),
    "Job": ("/apis/batch/v1/namespaces/{}/jobs", ("template",)),
    "CronJob": ("/apis/batch/v1/namespaces/{}/cronjobs", ("jobTemplate", "spec", "template")),
}


def objects(**facts_: Any) -> list[dict[str, Any]]:
    """What the platform's component registers, on an engine that only records."""
    engine = Engine()
    facts = contract.promised(environment.load("local")).model_copy(update=facts_)
    engine.run(lambda: Admission("admission", AdmissionArgs(contract=facts)))
    return [one.inputs for one in engine.registered if "kind" in one.inputs]


def ask(server: ApiServer, pod: dict[str, Any], namespace: str = "models") -> tuple[int, str]:
    """Ask for a pod, for nothing but the answer: (status, message)."""
    body = {"metadata": {"generateName": "case-"}, "spec": pod}
    status, answer = server.ask("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)
    return status, str(answer.get("message", ""))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder: Path = tmp_path_factory.mktemp("apiserver")
    with running(folder) as started:
        for name in ("models", "storage"):
            started.namespace(name)
            started.create(
                f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "model"}}
            )
        for one in objects():
            collection = COLLECTIONS[one["kind"]]
            started.create(
                f"/apis/admissionregistration.k8s.io/v1/{collection}?fieldValidation=Strict", one
            )
        # It takes the API server a moment to know its new policies: until each rule refuses.
        waiting = {case.rule: case for case in REFUSED}
        end = time.monotonic() + 60
        while waiting:
            assert time.monotonic() < end, f"not enforced after a minute: {sorted(waiting)}"
            waiting = {
                rule: case for rule, case in waiting.items() if ask(started, case.pod())[0] != 422
            }
            time.sleep(0.1)
        yield started


def kubectl(server: ApiServer, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """What a person types, past Pulumi and past yard."""
    return subprocess.run(
        [str(binary("kubernetes", "kubectl")), "--kubeconfig", str(server.kubeconfig), *arguments],
        input=text, capture_output=True, text=True, env=own_environment(), timeout=60,
    )  # fmt: skip


def test_there_is_a_policy_with_its_binding_for_every_rule() -> None:
    names = sorted(f"modelyard-{rule.name}" for rule in workload_rules.RULES)
    made = objects()

    for kind in COLLECTIONS:
        assert sorted(one["metadata"]["name"] for one in made if one["kind"] == kind) == names


def test_on_a_cluster_of_others_only_our_own_namespaces_are_judged() -> None:
    own = {"key": "modelyard.dev/environment", "operator": "Exists"}

    for facts, wanted in (({"guards": "own"}, own), ({}, None)):
        for one in objects(**facts):
            if one["kind"] == "ValidatingAdmissionPolicyBinding":
                (found,) = one["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
                assert (found == own) is (wanted == own)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_pod_that_breaks_a_rule_is_refused_by_that_rule(server: ApiServer, case: Case) -> None:
    status, message = ask(server, case.pod())

    assert status == 422, message
    assert f"'modelyard-{case.rule}'" in message


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_a_pod_that_keeps_all_rules_is_allowed(server: ApiServer, case: Case) -> None:
    status, message = ask(server, case.pod())

    assert status == 201, message


def test_a_refusal_names_the_container_the_fault_and_the_remedy(server: ApiServer) -> None:
    _, message = ask(server, BAD.pod())

    assert "main: image app:latest. Write NAME@sha256:" in message


def made_by(kind: str, case: Case) -> tuple[str, dict[str, Any]]:
    """Collection and object of a maker of a case's pods."""
    collection, path = MAKERS[kind]
    marks = {"app": "case"}
    pod = case.pod()
    if "Job" in kind:
        pod["restartPolicy"] = "Never"
    spec: dict[str, Any] = {"template": {"metadata": {"labels": marks}, "spec": pod}}
    for key in reversed(path[:-1]):
        spec = {key: spec}
    if kind == "CronJob":
        spec["schedule"] = "0 0 * * *"
    elif kind == "ReplicationController":
        spec["selector"] = marks
    elif kind != "Job":
        spec["selector"] = {"matchLabels": marks}
    if kind == "StatefulSet":
        spec["serviceName"] = "case"
    body = {"metadata": {"generateName": "case-"}, "spec": spec}
    return f"{collection.format('models')}?dryRun=All", body


@pytest.mark.parametrize("kind", MAKERS)
def test_what_makes_such_pods_is_refused_at_once(server: ApiServer, kind: str) -> None:
    status, answer = server.ask("POST", *made_by(kind, BAD))

    assert status == 422, answer
    assert "app:latest" in answer["message"]


@pytest.mark.parametrize("kind", MAKERS)
def test_what_makes_sound_pods_is_allowed(server: ApiServer, kind: str) -> None:
    status, answer = server.ask("POST", *made_by(kind, ALLOWED[0]))

    assert status == 201, answer


def test_kubectl_run_create_and_apply_are_refused(server: ApiServer) -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": BAD.pod()}
    tries = [
        kubectl(server, "-n", "models", "run", "p", "--image=app:latest"),
        kubectl(server, "-n", "models", "create", "deployment", "d", "--image=app:latest"),
        kubectl(server, "-n", "models", "apply", "-f", "-", text=json.dumps(manifest)),
        kubectl(
            server, "-n", "models", "apply", "--server-side", "-f", "-", text=json.dumps(manifest)
        ),
    ]

    for done in tries:
        assert done.returncode != 0, done.stdout
        assert "ValidatingAdmissionPolicy 'modelyard-" in done.stderr


def test_a_namespace_that_somebody_makes_is_guarded_too(server: ApiServer) -> None:
    kubectl(server, "create", "namespace", "somebodys")

    done = kubectl(server, "-n", "somebodys", "run", "p", "--image=app:latest")

    assert "denied request" in done.stderr


def test_a_sound_pod_cannot_be_changed_into_a_bad_one(server: ApiServer) -> None:
    path = "/api/v1/namespaces/models/pods"
    server.create(path, {"metadata": {"name": "sound"}, "spec": copy.deepcopy(GOOD)})

    image = kubectl(server, "-n", "models", "set", "image", "pod/sound", "main=app:latest")
    debug = kubectl(server, "-n", "models", "debug", "sound", "--image=app:latest", "-q")
    label = kubectl(server, "-n", "models", "label", "pod/sound", "a=b")

    assert "denied request" in image.stderr
    assert "denied request" in debug.stderr
    assert label.returncode == 0, label.stderr


def test_system_namespaces_are_left_to_those_who_run_the_cluster(server: ApiServer) -> None:
    status, message = ask(server, BAD.pod(), "kube-system")

    assert status in (201, 403), message
    assert "modelyard-" not in message


def test_an_exempted_component_is_let_in_and_no_other(server: ApiServer) -> None:
    root = next(case for case in REFUSED if case.says == "a folder of the node").pod()
    helper = {"app.kubernetes.io/name": "local-path-helper"}

    def made(namespace: str, labels: dict[str, str]) -> int:
        body = {"metadata": {"generateName": "h-", "labels": labels}, "spec": root}
        path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        return server.ask("POST", path, body)[0]

    assert made("storage", helper) == 201
    assert made("storage", {}) == 422
    assert made("models", helper) == 422


def test_a_pod_from_before_the_policies_can_still_be_labelled_and_let_go(
    server: ApiServer,
) -> None:
    # Its namespace was a system one when the pod was made: the only way past, for this test.
    body = {"metadata": {"name": "old", "finalizers": ["modelyard.dev/test"]}, "spec": BAD.pod()}
    server.create("/api/v1/namespaces/kube-system/serviceaccounts", {"metadata": {"name": "x"}})
    server.create("/api/v1/namespaces/kube-system/pods", body)
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"
    path += "modelyard-image-by-digest"
    selector = {"spec": {"matchResources": {"namespaceSelector": None}}}
    server.patch(path, selector)
    end = time.monotonic() + 60
    while ask(server, BAD.pod(), "kube-system")[0] != 422:
        assert time.monotonic() < end
        time.sleep(0.1)

    done = kubectl(server, "-n", "kube-system", "label", "pod/old", "a=b")
    gone = kubectl(
        server, "-n", "kube-system", "patch", "pod/old", "--type=merge",
        "-p", '{"metadata": {"finalizers": null}}',
    )  # fmt: skip

    assert (done.returncode, gone.returncode) == (0, 0), done.stderr + gone.stderr
    assert main(server.get("/api/v1/namespaces/kube-system/pods/old")["spec"])["image"]
