"""Namespaces, and who may speak to whom in them."""

from typing import TYPE_CHECKING, Any

from infra.platform import scrapes, spaces

if TYPE_CHECKING:
    from tests.infra.platform.conftest import House

ALL = {
    "storage",
    "registry",
    "gateway",
    "delivery",
    "monitoring",
    "accelerators",
    "models",
}
LEVEL = "pod-security.kubernetes.io/enforce"


def test_every_promised_namespace_is_made_and_no_other(house: "House") -> None:
    names = {one.inputs["metadata"]["name"] for one in house.engine.created("Namespace")}

    assert names == ALL


def test_every_namespace_is_restricted_or_says_why_not(house: "House") -> None:
    levels = {}
    for one in house.engine.created("Namespace"):
        meta = one.inputs["metadata"]
        levels[meta["name"]] = meta["labels"][LEVEL]
        reason = meta.get("annotations", {}).get("modelyard.dev/privileged-because")
        assert (meta["labels"][LEVEL] == "privileged") == bool(reason), meta["name"]

    assert {name for name, level in levels.items() if level != "restricted"} == {
        "storage",
        "accelerators",
    }


def test_every_object_says_whose_it_is(house: "House") -> None:
    for one in house.engine.registered:
        if "metadata" in one.inputs:
            labels = one.inputs["metadata"]["labels"]
            assert labels["modelyard.dev/environment"] == "local", one.name
            assert labels["app.kubernetes.io/managed-by"] == "pulumi", one.name
            assert labels["app.kubernetes.io/name"], one.name


def test_every_namespace_has_a_quota_that_its_pods_fit_into(house: "House") -> None:
    quotas = {
        one.inputs["metadata"]["namespace"]: one.inputs["spec"]["hard"]
        for one in house.engine.created("ResourceQuota")
    }
    assert set(quotas) == ALL

    for namespace, hard in quotas.items():
        asked = [
            (container["resources"], one.inputs["spec"]["replicas"] + 1)
            for one in house.engine.created("Deployment")
            if one.inputs["metadata"]["namespace"] == namespace
            for container in one.inputs["spec"]["template"]["spec"]["containers"]
        ]
        # With one pod more of each, as there is while one is replaced.
        for bound, unit in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            used = sum(amount(resources[bound][unit]) * count for resources, count in asked)
            assert used <= amount(hard[f"{bound}.{unit}"]), f"{namespace}: {bound}.{unit}"


def amount(text: str) -> float:
    """A Kubernetes quantity as a number of cores or bytes."""
    for suffix, factor in (("Gi", 2.0**30), ("Mi", 2.0**20), ("m", 0.001)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def policies(house: "House") -> list[dict[str, Any]]:
    return [one.inputs for one in house.engine.created("NetworkPolicy")]


def test_every_namespace_denies_what_nobody_allows(house: "House") -> None:
    denying = {
        policy["metadata"]["namespace"]
        for policy in policies(house)
        if policy["spec"].get("podSelector") in ({}, None)
        and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and "ingress" not in policy["spec"]
        and "egress" not in policy["spec"]
    }

    assert denying == ALL


def test_no_rule_allows_all_ports(house: "House") -> None:
    for policy in policies(house):
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            assert rule["ports"], policy["metadata"]


def test_only_the_gateway_and_the_registry_hear_everybody(house: "House") -> None:
    open_to_all = {
        policy["metadata"]["name"]
        for policy in policies(house)
        for rule in policy["spec"].get("ingress", [])
        if "from" not in rule
    }

    assert open_to_all == {"traefik", "registry"}


def test_models_speak_to_nobody_and_hear_gateway_and_prometheus(house: "House") -> None:
    (policy,) = [
        one["spec"]
        for one in policies(house)
        if one["metadata"]["namespace"] == spaces.MODELS and one["metadata"]["name"] == "all-pods"
    ]
    (heard,) = policy["ingress"]

    assert policy.get("egress", []) == []
    assert {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in heard["from"]
    } == {"traefik", "prometheus"}
    assert [port["port"] for port in heard["ports"]] == [3000]


def ports(house: "House", namespace: str, component: str, direction: str) -> set[int]:
    return {
        int(port["port"])
        for policy in policies(house)
        if policy["metadata"]["namespace"] == namespace and policy["metadata"]["name"] == component
        for rule in policy["spec"].get(direction, [])
        for port in rule["ports"]
    }


def test_what_prometheus_scrapes_hears_it_and_prometheus_may_speak_to_it(house: "House") -> None:
    plain = {**scrapes.PLAIN, "metrics-server": (spaces.MONITORING, spaces.METRICS_SERVER)}
    reached = ports(house, spaces.MONITORING, spaces.PROMETHEUS, "egress")
    metrics = {
        container["name"]: int(port["containerPort"])
        for _, _, container in house.containers()
        for port in container.get("ports", [])
        if port["name"] == spaces.METRICS_PORT
    }
    for namespace, component in plain.values():
        port = metrics[component]
        assert port in reached, component
        assert port in ports(house, namespace, component, "ingress"), component


def test_what_speaks_to_the_api_server_may_reach_it_and_find_it_by_name(house: "House") -> None:
    for one in house.engine.created("Deployment"):
        if one.inputs["spec"]["template"]["spec"]["automountServiceAccountToken"]:
            meta = one.inputs["metadata"]
            reached = ports(house, meta["namespace"], meta["name"], "egress")
            assert {443, 6443, 53} <= reached, one.name
