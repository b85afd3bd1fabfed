"""The platform in an AWS account: what GPU nodes and the autoscaler get, on prod's pools."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra import contract, environment
from infra.contract import Contract, Image
from infra.foundation import images, scaling
from infra.models import wanted
from infra.models.model_service import ModelService
from infra.platform import scrapes, spaces
from infra.platform.gpu_nodes import settings
from infra.policy import exemptions, workloads
from tests.infra.models import samples
from tests.infra.platform.conftest import House, build, program
from tests.infra.test_contract import told

if TYPE_CHECKING:
    from tests.infra.conftest import Engine

RULES = {
    "image-by-digest": workloads.images,
    "bounded-resources": workloads.bounds,
    "probed": workloads.probes,
    "confined": workloads.confinement,
}
OWN = images.VENDORS


def in_account(name: str, folder: Path) -> Contract:
    """A settled contract, with the credentials and definitions of `local`."""
    made = build(folder)
    images = made.images | {
        f"modelyard/{one}": Image(reference=f"modelyard/{one}:1", digest="sha256:" + "b" * 64)
        for one in OWN
    }
    settled = contract.settled(environment.load(name), told(), images, made.crds)
    return settled.model_copy(update={"credentials": made.credentials})


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory, new_engine: "type[Engine]") -> Iterator[House]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        made = in_account("prod", folder)
        contract.path("prod").parent.mkdir()
        contract.path("prod").write_text(made.model_dump_json())
        engine = new_engine()
        engine.run(program, stack="prod")
        yield House(engine, environment.load("prod"), made)


def rules_of(house: House, name: str) -> list[dict[str, Any]]:
    """Rules of a cluster role of the platform."""
    (rules,) = [
        one.inputs["rules"]
        for one in house.engine.created("ClusterRole")
        if one.inputs["metadata"]["name"] == f"modelyard:{name}"
    ]
    return list(rules)


def written(rules: list[dict[str, Any]]) -> set[str]:
    """What they allow to change, and not only to read."""
    return {
        resource
        for rule in rules
        if set(rule["verbs"]) - {"get", "list", "watch"}
        for resource in rule["resources"]
    }


def daemons(house: House) -> dict[str, dict[str, Any]]:
    return {one.inputs["metadata"]["name"]: one.inputs for one in house.engine.created("DaemonSet")}


def pod(house: House, name: str) -> dict[str, Any]:
    found: dict[str, Any] = daemons(house)[name]["spec"]["template"]["spec"]
    return found


def test_every_pool_of_real_gpus_has_a_plugin_and_an_exporter(prod: House) -> None:
    assert {name for name in daemons(prod) if name.startswith(("nvidia", "dcgm"))} == {
        f"{what}-{pool}"
        for what in ("nvidia-device-plugin", "dcgm-exporter")
        for pool in ("gpu", "gpu-parts", "training")
    }


def test_neuron_pools_get_the_plugin_that_offers_their_devices(prod: House) -> None:
    assert {name for name in daemons(prod) if "neuron" in name} == {"neuron-device-plugin-neuron"}
    found = pod(prod, "neuron-device-plugin-neuron")

    assert found["nodeSelector"]["modelyard.dev/kind"] == "neuron"
    assert found["automountServiceAccountToken"] is True
    (container,) = found["containers"]
    assert container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_neuron_plugin_reads_no_secrets_and_changes_nodes_in_their_status_alone(
    prod: House,
) -> None:
    rules = rules_of(prod, "neuron-device-plugin")

    assert written(rules) == {"nodes/status", "pods", "events"}
    assert "secrets" not in str(rules)


def test_pools_with_fabric_adapters_and_no_others_get_the_plugin_for_them(prod: House) -> None:
    assert {name for name in daemons(prod) if "efa" in name} == {"efa-device-plugin-training"}
    found = pod(prod, "efa-device-plugin-training")

    assert found["hostNetwork"] is True
    assert found["automountServiceAccountToken"] is False
    paths = {one["hostPath"]["path"] for one in found["volumes"]}
    assert paths == {"/var/lib/kubelet/device-plugins", "/dev/infiniband"}


def test_only_what_sees_the_nodes_network_runs_in_it(prod: House) -> None:
    others = {name for name in daemons(prod) if not name.startswith("efa")}

    assert not [name for name in others if pod(prod, name).get("hostNetwork")]


def test_every_image_that_the_platform_asks_for_is_one_that_up_publishes(prod: House) -> None:
    aws = prod.environment.aws
    assert aws is not None
    asked = {
        container["image"].split("@")[0].rpartition("/")[2]
        for name in daemons(prod)
        for container in pod(prod, name)["containers"]
    }

    assert asked <= set(images.wanted(aws))
    assert set(images.wanted(aws)) == set(images.REPOSITORIES)


def test_they_run_on_every_node_of_their_pool_and_on_no_other(prod: House) -> None:
    for pool in prod.contract.pools:
        if pool.kind == "gpu":
            found = pod(prod, f"dcgm-exporter-{pool.name}")
            assert found["nodeSelector"] == pool.labels
            # `training` has a taint of its own besides that of GPUs.
            assert found["tolerations"] == [{"operator": "Exists"}]


def test_simulated_gpus_get_none_of_it(house: House) -> None:
    assert set(daemons(house)) == {"gpu-device-plugin-gpu"}


def plugin_settings(house: House, pool: str) -> dict[str, Any]:
    data = house.engine.one("ConfigMap", f"nvidia-device-plugin-{pool}")["data"]
    found: dict[str, Any] = yaml.safe_load(data["config.yaml"])
    return found


def test_gpus_are_offered_whole_unless_the_pool_shares_them(prod: House) -> None:
    found = plugin_settings(prod, "gpu")

    assert found["flags"]["migStrategy"] == "none"
    assert "sharing" not in found


def test_parts_of_divided_gpus_are_offered_as_gpus(prod: House) -> None:
    assert plugin_settings(prod, "gpu-parts")["flags"]["migStrategy"] == "single"
    (container,) = pod(prod, "nvidia-device-plugin-gpu-parts")["containers"]
    assert container["securityContext"]["capabilities"]["add"] == ["SYS_ADMIN"]
    (whole,) = pod(prod, "nvidia-device-plugin-gpu")["containers"]
    assert "add" not in whole["securityContext"]["capabilities"]


def test_time_slices_are_offered_as_often_as_the_pool_says() -> None:
    pools = {pool.name: pool for pool in contract.promised(environment.load("staging")).pools}

    assert settings(pools["gpu-shared"])["sharing"] == {
        "timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}
    }


def test_metrics_of_gpus_say_which_pod_uses_them(prod: House) -> None:
    (container,) = pod(prod, "dcgm-exporter-gpu")["containers"]
    environment_of = {one["name"]: one["value"] for one in container["env"]}

    assert environment_of["DCGM_EXPORTER_KUBERNETES"] == "true"
    assert container["ports"] == [{"name": "metrics", "containerPort": 9400}]


def test_prometheus_scrapes_what_an_account_has_more(prod: House, house: House) -> None:
    jobs = {
        name: {
            one["job_name"]
            for one in yaml.safe_load(scrapes.configuration(facts))["scrape_configs"]
        }
        for name, facts in {"prod": prod.contract, "local": house.contract}.items()
    }

    assert jobs["prod"] - jobs["local"] == {"dcgm", "cluster-autoscaler"}
    (policy,) = [
        one.inputs
        for one in prod.engine.created("NetworkPolicy")
        if one.inputs["metadata"]["name"] == spaces.PROMETHEUS
    ]
    reached = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {9400, 8085} <= reached


def test_the_autoscaler_stands_where_its_role_in_the_account_is_for(prod: House) -> None:
    account = prod.engine.one("ServiceAccount", "cluster-autoscaler")["metadata"]

    assert account["namespace"] == scaling.NAMESPACE == spaces.AUTOSCALING
    assert account["name"] == scaling.SERVICE_ACCOUNT


def test_the_autoscaler_finds_the_pools_of_its_own_cluster(prod: House) -> None:
    deployment = prod.engine.one("Deployment", "cluster-autoscaler")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (found_by,) = [one for one in container["args"] if "auto-discovery" in one]

    assert found_by.endswith(
        "k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/modelyard-prod"
    )
    assert container["env"] == [{"name": "AWS_REGION", "value": "us-west-2"}]


def test_the_autoscaler_changes_nodes_and_its_own_notes_and_reads_the_rest(prod: House) -> None:
    rules = rules_of(prod, "cluster-autoscaler")

    assert written(rules) == {"nodes", "pods/eviction", "events"}
    assert not [rule for rule in rules if "*" in rule["verbs"] + rule["resources"]]
    assert "secrets" not in str(rules)


def test_who_ships_models_may_do_that_and_nothing_else(prod: House) -> None:
    binding = prod.engine.one("RoleBinding", "modelyard:shippers")
    role = prod.engine.one("Role", "modelyard:shippers")

    assert binding["subjects"] == [
        {
            "kind": "Group",
            "name": "modelyard:shippers",
            "apiGroup": "rbac.authorization.k8s.io",
        }
    ]
    assert role["metadata"]["namespace"] == spaces.MODELS
    kinds = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert not kinds & {"secrets", "roles", "rolebindings", "serviceaccounts", "networkpolicies"}
    assert not [rule for rule in role["rules"] if "*" in rule["verbs"] + rule["resources"]]


def test_who_ships_may_write_everything_that_a_model_is_made_of(prod: House, digits: Any) -> None:
    role = prod.engine.one("Role", "modelyard:shippers")
    allowed = {
        (group, resource)
        for rule in role["rules"]
        if "patch" in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for one in digits.registered:
        if "apiVersion" in one.inputs:
            group = one.inputs["apiVersion"].rpartition("/")[0]
            kind = one.inputs["kind"].lower()
            assert (group, f"{kind}s") in allowed, one.name


@pytest.fixture
def digits(prod: House, engine: "Engine") -> "Engine":
    """What the project of models makes for one model."""
    release = samples.release()
    engine.run(lambda: ModelService("digits", wanted.arguments(release, prod.contract)) and None)
    return engine


def test_nothing_of_it_is_on_a_cluster_of_hosts(house: House) -> None:
    names = {one.inputs["metadata"]["name"] for one in house.engine.created("Namespace")}

    assert spaces.MODELS in names
    assert spaces.AUTOSCALING not in names


def test_policies_let_all_of_it_through_or_an_exemption_says_why_not(prod: House) -> None:
    spared = {
        (one.rule, one.where.namespace, one.where.name)
        for one in exemptions.load()
        if isinstance(one.where, exemptions.Place)
    }
    today = datetime.datetime.now(tz=datetime.UTC).date()
    pods = 0
    for one in prod.engine.registered:
        found = workloads.pod(one.inputs)
        if found is None:
            continue
        pods += 1
        metadata = one.inputs["metadata"]
        component = metadata["labels"]["app.kubernetes.io/name"]
        for rule, faults in RULES.items():
            if faults(found):
                assert (rule, metadata["namespace"], component) in spared, one.name

    assert pods > 10
    assert all(one.until > today for one in exemptions.load())
