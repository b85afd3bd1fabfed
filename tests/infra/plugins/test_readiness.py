"""When objects count as ready, and what is said when they do not; judged on a real API server."""

import threading
from typing import Any

import pytest

from infra.plugins.kubernetes import readiness, waiting
from infra.plugins.kubernetes.cluster import Cluster
from infra.plugins.kubernetes.objects import Reference
from infra.plugins.kubernetes.readiness import Verdict
from infra.plugins.kubernetes.waiting import NotReady
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.conftest import kubelet, ready_status
from tests.infra.plugins.objects_of_tests import definition, deployment

pytestmark = pytest.mark.apiserver

QUICK = 0.6
PATIENT = 60.0


class Bench:
    """Makes objects as an administrator and waits for them as the stand-in does."""

    def __init__(self, server: ApiServer, cluster: Cluster, namespace: str) -> None:
        self.server, self.cluster, self.namespace = server, cluster, namespace
        self.said: list[str] = []

    def collection(self, group: str, plural: str) -> str:
        return f"{group}/namespaces/{self.namespace}/{plural}"

    def wait(self, made: dict[str, Any], seconds: float) -> dict[str, Any]:
        metadata = made["metadata"]
        reference = Reference(
            made["apiVersion"], made["kind"], metadata.get("namespace"), metadata["name"]
        )
        return waiting.until_ready(
            self.cluster, reference, made, seconds, threading.Event(), self.said.append
        )

    def refusal(self, made: dict[str, Any], seconds: float = QUICK) -> str:
        with pytest.raises(NotReady) as found:
            self.wait(made, seconds)
        return str(found.value)

    def event(
        self, about: dict[str, Any], reason: str, message: str, kind: str = "Warning"
    ) -> None:
        self.server.create(
            self.collection("/api/v1", "events"),
            {
                "metadata": {"generateName": "event-"},
                "involvedObject": {
                    "kind": about["kind"],
                    "name": about["metadata"]["name"],
                    "namespace": self.namespace,
                    "uid": about["metadata"]["uid"],
                },
                "type": kind,
                "reason": reason,
                "message": message,
                "lastTimestamp": "2030-01-01T00:00:00Z",
            },
        )

    def pod(self, name: str, labels: dict[str, str], **spec: str) -> dict[str, Any]:
        return self.server.create(
            self.collection("/api/v1", "pods"),
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.test/app:1"}]} | spec,
            },
        )


@pytest.fixture
def bench(server: ApiServer, cluster: Cluster, namespace: str) -> Bench:
    return Bench(server, cluster, namespace)


def deployments(bench: Bench) -> str:
    return bench.collection("/apis/apps/v1", "deployments")


def pods_of(bench: Bench, count: int = 1) -> list[dict[str, Any]]:
    """Pods that the controllers made, when there are as many as expected."""
    done = threading.Event()
    for _ in range(300):
        found = bench.server.get(bench.collection("/api/v1", "pods"))["items"]
        if len(found) >= count:
            return list(found)
        done.wait(0.1)
    raise AssertionError("the controllers made no pods in 30 s")


def test_a_deployment_is_ready_when_its_pods_are(bench: Bench) -> None:
    made = bench.server.create(deployments(bench), deployment(bench.namespace, replicas=2))
    with kubelet(bench.server, bench.namespace):
        ready = bench.wait(made, PATIENT)

    assert ready["status"]["availableReplicas"] == 2


def test_a_deployment_that_waits_names_its_failing_pod_and_the_pods_last_event(
    bench: Bench,
) -> None:
    made = bench.server.create(deployments(bench), deployment(bench.namespace))
    (pod,) = pods_of(bench)
    name = pod["metadata"]["name"]
    waits = {"reason": "ImagePullBackOff", "message": "no such image"}
    bench.server.status(
        f"{bench.collection('/api/v1', 'pods')}/{name}",
        {
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": False,
                    "image": "x",
                    "imageID": "",
                    "restartCount": 0,
                    "state": {"waiting": waits},
                }
            ]
        },
    )
    pod["kind"] = "Pod"
    bench.event(pod, "Failed", "Error: ImagePullBackOff of example.test/app:1")

    text = bench.refusal(made)

    assert f"pod {name}: container main is waiting: ImagePullBackOff (no such image)" in text
    assert "last event: Failed: Error: ImagePullBackOff of example.test/app:1" in text


def test_a_deployment_whose_pods_are_refused_says_why(bench: Bench) -> None:
    bench.server.patch(
        f"/api/v1/namespaces/{bench.namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )
    made = bench.server.create(deployments(bench), deployment(bench.namespace))

    text = bench.refusal(made, 3)

    assert 'violates PodSecurity "restricted' in text


def test_a_deployment_past_its_progress_deadline_fails_before_the_timeout(bench: Bench) -> None:
    body = deployment(bench.namespace)
    body["spec"] |= {"progressDeadlineSeconds": 2, "minReadySeconds": 1}
    made = bench.server.create(deployments(bench), body)

    text = bench.refusal(made, PATIENT)

    assert "has timed out progressing" in text
    assert "not ready after" not in text


def test_a_failure_from_before_the_wait_does_not_count(bench: Bench) -> None:
    body = deployment(bench.namespace)
    body["spec"] |= {"progressDeadlineSeconds": 2, "minReadySeconds": 1}
    made = bench.server.create(deployments(bench), body)
    bench.refusal(made, PATIENT)

    with kubelet(bench.server, bench.namespace):
        ready = bench.wait(made, PATIENT)

    assert ready["status"]["availableReplicas"] == 1


def test_a_pod_that_cannot_be_scheduled_says_so(bench: Bench) -> None:
    made = bench.pod("alone", {"app": "alone"})
    path = f"{bench.collection('/api/v1', 'pods')}/alone"
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes fit"}
    bench.server.status(path, {"conditions": [condition | {"lastTransitionTime": None}]})

    assert "not scheduled: 0/3 nodes fit" in bench.refusal(made)


def test_a_crashing_container_is_told_with_its_exit_code(bench: Bench) -> None:
    made = bench.pod("crash", {"app": "crash"})
    ended = {"exitCode": 3, "reason": "Error", "message": "no configuration"}
    bench.server.status(
        f"{bench.collection('/api/v1', 'pods')}/crash",
        {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": False,
                    "image": "x",
                    "imageID": "",
                    "restartCount": 4,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": ended},
                }
            ],
        },
    )

    text = bench.refusal(made)

    assert "CrashLoopBackOff; before, it ended with code 3 (Error): no configuration" in text


def test_a_pod_that_failed_is_not_waited_for(bench: Bench) -> None:
    made = bench.pod("failed", {"app": "failed"})
    path = f"{bench.collection('/api/v1', 'pods')}/failed"
    bench.server.status(path, {"phase": "Failed", "message": "Evicted"})

    assert "Evicted" in bench.refusal(made, PATIENT)


def test_a_service_before_its_pods_is_ready(bench: Bench) -> None:
    made = bench.server.create(
        bench.collection("/api/v1", "services"),
        {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 1}]}},
    )

    assert bench.wait(made, QUICK)["metadata"]["name"] == "web"


def test_a_service_with_ready_pods_waits_for_its_endpoints(bench: Bench) -> None:
    # Endpoints are made for pods on a node that exists.
    node = f"{bench.namespace}-node"
    bench.server.create("/api/v1/nodes", {"metadata": {"name": node}})
    bench.pod("web", {"app": "web"}, nodeName=node)
    path = f"{bench.collection('/api/v1', 'pods')}/web"
    # Without an address the pod gets no endpoint.
    bench.server.status(path, dict(ready_status()))
    made = bench.server.create(
        bench.collection("/api/v1", "services"),
        {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 1}]}},
    )
    assert "no endpoint yet" in bench.refusal(made)

    bench.server.status(path, {"podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}]})
    assert bench.wait(made, PATIENT)["metadata"]["name"] == "web"


@pytest.mark.parametrize(("mode", "ready"), [("WaitForFirstConsumer", True), ("Immediate", False)])
def test_only_a_claim_that_is_bound_late_on_purpose_is_not_waited_for(
    bench: Bench, mode: str, ready: bool
) -> None:
    name = f"{bench.namespace}-class"
    bench.server.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "metadata": {"name": name},
            "provisioner": "none.test",
            "volumeBindingMode": mode,
        },
    )
    made = bench.server.create(
        bench.collection("/api/v1", "persistentvolumeclaims"),
        {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": name,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )

    if ready:
        assert bench.wait(made, QUICK)["metadata"]["name"] == "data"
    else:
        assert "the claim is Pending" in bench.refusal(made)


def job(bench: Bench) -> dict[str, Any]:
    container = {"name": "main", "image": "example.test/app:1"}
    pod = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return bench.server.create(
        bench.collection("/apis/batch/v1", "jobs"),
        {"metadata": {"name": "once"}, "spec": {"template": pod}},
    )


def test_a_job_is_ready_when_it_is_complete(bench: Bench) -> None:
    made = job(bench)
    assert "0 of 1 pods succeeded" in bench.refusal(made)

    then = "2020-01-01T00:00:00Z"
    criteria = {"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": then}
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": then}
    bench.server.status(
        f"{bench.collection('/apis/batch/v1', 'jobs')}/once",
        {
            "succeeded": 1,
            "startTime": then,
            "completionTime": then,
            "conditions": [criteria, complete],
        },
    )

    assert bench.wait(made, QUICK)["status"]["succeeded"] == 1


def test_a_failed_job_says_why(bench: Bench) -> None:
    made = job(bench)
    then = "2020-01-01T00:00:00Z"
    target = {"type": "FailureTarget", "status": "True", "lastTransitionTime": then}
    failed = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "it tried 6 times",
        "lastTransitionTime": then,
    }
    bench.server.status(
        f"{bench.collection('/apis/batch/v1', 'jobs')}/once",
        {"startTime": then, "conditions": [target, failed]},
    )

    assert "BackoffLimitExceeded: it tried 6 times" in bench.refusal(made, PATIENT)


def test_a_definition_is_ready_when_its_kind_is_served(bench: Bench) -> None:
    group = f"{bench.namespace}.test"
    made = bench.server.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        definition(group, "things", "Thing"),
    )

    ready = bench.wait(made, PATIENT)

    assert readiness.conditions(ready)["Established"]["status"] == "True"


def test_a_definition_whose_names_are_taken_fails(bench: Bench) -> None:
    group = f"{bench.namespace}.test"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    bench.wait(bench.server.create(crds, definition(group, "things", "Thing")), PATIENT)

    made = bench.server.create(crds, definition(group, "others", "Thing"))

    assert "is already in use" in bench.refusal(made, PATIENT)


def test_an_api_service_waits_until_its_api_is_available(bench: Bench) -> None:
    made = bench.server.create(
        "/apis/apiregistration.k8s.io/v1/apiservices",
        {
            "metadata": {"name": f"v1.{bench.namespace}.test"},
            "spec": {
                "group": f"{bench.namespace}.test",
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"name": "metrics", "namespace": bench.namespace},
                "insecureSkipTLSVerify": True,
            },
        },
    )

    assert "the API is not available" in bench.refusal(made)
    bench.server.request(
        "DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{bench.namespace}.test"
    )


def rollout(phase: str | None, observed: str = "2", message: str = "") -> dict[str, Any]:
    status = {"phase": phase, "observedGeneration": observed, "message": message}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "digits", "namespace": "models", "generation": 2},
        "spec": {},
        "status": status if phase else {},
    }


@pytest.mark.parametrize(
    ("live", "verdict", "text"),
    [
        (rollout("Healthy"), Verdict.READY, ""),
        (rollout("Paused", message="CanaryPauseStep"), Verdict.READY, ""),
        (rollout("Progressing", message="more replicas"), Verdict.WAITING, "Progressing"),
        (rollout("Degraded", message="RolloutAborted"), Verdict.FAILED, "RolloutAborted"),
        (rollout("Healthy", observed="1"), Verdict.WAITING, "not seen it yet"),
        (rollout(None), Verdict.WAITING, "not seen it yet"),
    ],
)
def test_a_rollout_is_ready_when_healthy_or_paused_on_purpose(
    cluster: Cluster, live: dict[str, Any], verdict: Verdict, text: str
) -> None:
    judgement = readiness.judge(cluster, live, since="")

    assert judgement.verdict is verdict
    assert text in judgement.text


def test_what_is_being_deleted_by_somebody_else_fails(cluster: Cluster) -> None:
    live = rollout("Healthy")
    live["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"

    assert readiness.judge(cluster, live, since="").verdict is Verdict.FAILED


def test_a_timeout_comes_from_the_engine_then_the_annotation_then_the_default() -> None:
    annotated = {"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "42"}}}

    assert waiting.timeout_seconds(7, annotated) == 7
    assert waiting.timeout_seconds(0, annotated) == 42
    assert waiting.timeout_seconds(0, {}) == waiting.DEFAULT_SECONDS
