"""ModelService: what it registers, and what it leaves to others."""

from typing import Any

import pulumi
import pytest

from infra import refusal
from infra.contract import Contract
from infra.environment import Environment
from infra.models import release as releasing
from infra.models.model_service import ModelService
from infra.models.release import Release
from infra.models.wanted import arguments, wanted
from infra.platform import site
from tests.infra.conftest import Engine


def changed(release: Release, **values: Any) -> Release:
    return Release(**{**release.model_dump(), **values})


@pytest.fixture
def canary(release: Release) -> Release:
    new = changed(release, version="1.1.0", digest="sha256:" + "b" * 64)
    return releasing.following(release, new, 20)


def build(engine: Engine, release: Release, facts: Contract) -> Engine:
    engine.run(lambda: ModelService(release.name, arguments(release, facts)))
    return engine


def pod(engine: Engine) -> dict[str, Any]:
    spec: dict[str, Any] = engine.one("Rollout")["spec"]["template"]["spec"]
    return spec


def container(engine: Engine) -> dict[str, Any]:
    (only,) = pod(engine)["containers"]
    found: dict[str, Any] = only
    return found


def test_it_registers_everything_that_one_model_needs(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    kinds = sorted(one.inputs["kind"] for one in engine.registered if "kind" in one.inputs)
    assert kinds == [
        "HorizontalPodAutoscaler",
        "IngressRoute",
        "Middleware",
        "Middleware",
        "PodDisruptionBudget",
        "Rollout",
        "ServersTransport",
        "Service",
        "Service",
        "TraefikService",
    ]


def test_every_object_stands_in_the_models_namespace_with_the_models_labels(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    for one in engine.registered:
        if "kind" not in one.inputs:
            continue
        metadata = one.inputs["metadata"]
        assert metadata["namespace"] == "models"
        assert metadata["labels"] == {
            "app.kubernetes.io/name": "digits",
            "app.kubernetes.io/component": "model",
            "app.kubernetes.io/managed-by": "pulumi",
            "modelyard.dev/environment": "local",
            "modelyard.dev/model": "digits",
        }


def test_pods_run_the_image_by_digest_from_where_nodes_pull(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    assert container(engine)["image"] == f"registry.modelyard.internal/digits@{release.digest}"
    assert pod(engine)["imagePullSecrets"] == [{"name": "registry-pull"}]


def test_pods_are_told_who_they_are(engine: Engine, release: Release, facts: Contract) -> None:
    build(engine, release, facts)

    env = {one["name"]: one["value"] for one in container(engine)["env"]}
    # Nothing else: services.serving has variables of its own, with defaults that fit its images.
    assert env == {"MODELYARD_DIGEST": release.digest, "MODELYARD_MODEL_VERSION": "1.0.0"}
    labels = engine.one("Rollout")["spec"]["template"]["metadata"]["labels"]
    assert labels["modelyard.dev/version"] == "1.0.0"
    assert labels["modelyard.dev/scrape"] == "true"


def test_pods_can_gain_no_rights(engine: Engine, release: Release, facts: Contract) -> None:
    build(engine, release, facts)

    assert pod(engine)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1034,
        "runAsGroup": 1034,
        "fsGroup": 1034,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(engine)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container(engine)["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert pod(engine)["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]
    assert pod(engine)["automountServiceAccountToken"] is False
    assert pod(engine)["enableServiceLinks"] is False


def test_nobody_but_the_autoscaler_says_how_many_pods_run(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    assert "replicas" not in engine.one("Rollout")["spec"]
    scaling = engine.one("HorizontalPodAutoscaler")["spec"]
    assert scaling["scaleTargetRef"] == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "digits",
    }
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (1, 3)


def test_a_full_release_has_no_steps(engine: Engine, release: Release, facts: Contract) -> None:
    build(engine, release, facts)

    assert engine.one("Rollout")["spec"]["strategy"] == {
        "canary": {
            "stableService": "digits-stable",
            "canaryService": "digits-canary",
            "trafficRouting": {"traefik": {"weightedTraefikServiceName": "digits"}},
        }
    }


def test_a_canary_pauses_at_its_weight_until_somebody_decides(
    engine: Engine, canary: Release, facts: Contract
) -> None:
    build(engine, canary, facts)

    steps = engine.one("Rollout")["spec"]["strategy"]["canary"]["steps"]
    assert steps == [{"setWeight": 20}, {"pause": {}}]


def test_only_the_rollout_differs_between_a_release_and_its_canary(
    release: Release, canary: Release, facts: Contract
) -> None:
    one, other = (build(Engine(), each, facts) for each in (release, canary))

    differing = [
        first.inputs["kind"]
        for first, second in zip(
            sorted(one.registered, key=lambda each: each.name),
            sorted(other.registered, key=lambda each: each.name),
            strict=True,
        )
        if first.inputs != second.inputs
    ]
    assert differing == ["Rollout"]


def test_settling_a_canary_changes_no_pod(canary: Release, facts: Contract) -> None:
    settled = changed(canary, weight=None)
    one, other = (build(Engine(), each, facts) for each in (canary, settled))

    before, after = (each.one("Rollout")["spec"]["template"] for each in (one, other))
    assert before == after


def test_the_split_begins_with_all_requests_to_the_stable_service(
    engine: Engine, canary: Release, facts: Contract
) -> None:
    build(engine, canary, facts)

    services = engine.one("TraefikService")["spec"]["weighted"]["services"]
    assert [(one["name"], one["weight"]) for one in services] == [
        ("digits-stable", 100),
        ("digits-canary", 0),
    ]


def test_both_services_begin_with_all_pods_of_the_model(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    for one in engine.created("Service"):
        assert one.inputs["spec"]["selector"] == {"modelyard.dev/model": "digits"}
        assert one.inputs["spec"]["ports"] == [{"name": "http", "port": 3000, "targetPort": "http"}]
        # They would wait for pods that only the Rollout after them makes.
        assert one.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_predictions_need_a_token_and_health_does_not(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    spec = engine.one("IngressRoute")["spec"]
    predictions, health = spec["routes"]
    assert predictions["match"] == "PathPrefix(`/digits/`) && !Path(`/digits/metrics`)"
    assert [one["name"] for one in predictions["middlewares"]] == [
        "errors",
        "auth",
        "body-limit",
        "digits-strip-prefix",
        "digits-retry",
    ]
    assert "auth" not in [one["name"] for one in health["middlewares"]]
    assert health["priority"] > predictions["priority"]
    assert "/digits/readyz" in health["match"]
    assert spec["entryPoints"] == ["websecure"]
    assert spec["tls"] == {}


def test_middlewares_that_routes_name_are_made_here_or_shared_by_the_gateway(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    made = {one.inputs["metadata"]["name"] for one in engine.created("Middleware")}
    for route in engine.one("IngressRoute")["spec"]["routes"]:
        for one in route["middlewares"]:
            assert one.get("namespace") == "gateway" or one["name"] in made


def test_a_pod_on_the_cpu_pool_tolerates_nothing(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    assert pod(engine)["nodeSelector"] == facts.pool("cpu").labels
    assert "tolerations" not in pod(engine)
    assert container(engine)["resources"] == {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"memory": "256Mi"},
    }


def test_a_pod_on_the_gpu_pool_asks_for_gpus_and_tolerates_their_taint(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, changed(release, pool="gpu", gpus=2), facts)

    assert pod(engine)["nodeSelector"] == facts.pool("gpu").labels
    assert pod(engine)["tolerations"] == [
        {
            "key": "nvidia.com/gpu",
            "operator": "Equal",
            "value": "present",
            "effect": "NoSchedule",
        }
    ]
    resources = container(engine)["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == "2"
    assert resources["requests"]["nvidia.com/gpu"] == "2"


def test_a_release_for_a_pool_that_the_cluster_lacks_is_refused(
    release: Release, facts: Contract
) -> None:
    without = facts.model_copy(update={"pools": [facts.pool("control"), facts.pool("cpu")]})

    with pytest.raises(refusal.Refusal, match=r"pool is 'gpu'.*It has: control, cpu"):
        arguments(changed(release, pool="gpu", gpus=1), without)


def test_the_program_runs_every_release_of_the_environment(
    here: Environment, release: Release, facts: Contract
) -> None:
    for name in ("wine", "digits"):
        releasing.write(here, changed(release, name=name))

    assert [one.release.name for one in wanted(here, facts)] == ["digits", "wine"]


def test_an_unsound_release_ends_the_program_without_a_stack_trace(
    here: Environment, release: Release, facts: Contract
) -> None:
    releasing.write(here, release).write_text("colour: red")

    with pytest.raises(pulumi.RunError, match=r"digits\.yaml"), site.refusals():
        wanted(here, facts)


def test_more_gpus_than_a_node_has_are_refused(release: Release, facts: Contract) -> None:
    with pytest.raises(refusal.Refusal, match=r"gpus is 3.*has 2.*at most 2"):
        arguments(changed(release, pool="gpu", gpus=3), facts)


def test_probes_ask_what_each_is_for(engine: Engine, release: Release, facts: Contract) -> None:
    build(engine, release, facts)

    asked = {
        probe: container(engine)[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert asked == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    live = container(engine)["livenessProbe"]
    assert live["periodSeconds"] * live["failureThreshold"] >= 60


def test_a_leaving_pod_answers_until_the_gateway_has_heard_of_it(
    engine: Engine, release: Release, facts: Contract
) -> None:
    build(engine, release, facts)

    drain = container(engine)["lifecycle"]["preStop"]["sleep"]["seconds"]
    answer = int(
        engine.one("ServersTransport")["spec"]["forwardingTimeouts"]["responseHeaderTimeout"][:-1]
    )
    assert pod(engine)["terminationGracePeriodSeconds"] > drain + answer


def test_a_drain_may_take_a_lone_pod(engine: Engine, release: Release, facts: Contract) -> None:
    build(engine, release, facts)

    assert engine.one("PodDisruptionBudget")["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"modelyard.dev/model": "digits"}},
    }
