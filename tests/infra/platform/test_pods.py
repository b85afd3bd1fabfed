"""Properties of every pod that the platform makes."""

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tests.infra.platform.conftest import House

# Who may run as root, and why; nothing else may.
ROOT = {
    "accelerators-gpu-plugin/gpu-device-plugin": "the kubelet's folder of plugin sockets is root's",
}
# Who may touch a node's file system, and why; nothing else may.
ON_NODE = {
    "accelerators-gpu-plugin/gpu-device-plugin": "its socket stands in the kubelet's folder",
}
# Who gets an account's token, because it speaks to the API server.
CALLS_API = {"storage", "gateway", "delivery", "metrics", "monitoring"}
# Who serves nothing that a probe could ask; its process is its life.
UNPROBED = {
    "storage-deployment/local-path-provisioner",
    "accelerators-gpu-plugin/gpu-device-plugin",
}


def test_there_are_pods_to_look_at(house: "House") -> None:
    assert len(list(house.containers())) == 9


def test_every_container_has_requests_and_limits(house: "House") -> None:
    for name, _, container in house.containers():
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) == {"cpu", "memory"}, name


def test_every_image_is_named_by_digest(house: "House") -> None:
    for name, _, container in house.containers():
        assert re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", container["image"]), name
        assert container["imagePullPolicy"] == "IfNotPresent", name


def test_every_container_can_gain_nothing(house: "House") -> None:
    for name, _, container in house.containers():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert "privileged" not in security, name


def test_every_pod_has_the_default_seccomp_profile_and_no_namespace_of_the_host(
    house: "House",
) -> None:
    for name, pod, _ in house.containers():
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name


def user(pod: dict[str, Any], container: dict[str, Any]) -> tuple[int | None, bool | None]:
    both = pod["securityContext"] | container["securityContext"]
    return both.get("runAsUser"), both.get("runAsNonRoot")


def test_only_those_with_a_reason_run_as_root(house: "House") -> None:
    root = set()
    for name, pod, container in house.containers():
        number, non_root = user(pod, container)
        assert number is not None, f"{name} has no numeric user"
        if number == 0:
            root.add(name)
        else:
            assert non_root is True, name

    assert root == set(ROOT)


def test_only_those_with_a_reason_see_a_nodes_files(house: "House") -> None:
    on_node = {
        name
        for name, pod, _ in house.containers()
        if any("hostPath" in volume for volume in pod.get("volumes", []))
    }

    assert on_node == set(ON_NODE)


def test_only_those_who_speak_to_the_api_server_get_a_token(house: "House") -> None:
    for name, pod, _ in house.containers():
        component = name.split("-")[0]
        assert pod["automountServiceAccountToken"] is (component in CALLS_API), name
        assert pod["enableServiceLinks"] is False, name

    for account in house.engine.created("ServiceAccount"):
        assert account.inputs["automountServiceAccountToken"] is False, account.name


def test_every_container_is_probed_where_it_can_be_asked(house: "House") -> None:
    for name, _, container in house.containers():
        probes = {"startupProbe", "readinessProbe", "livenessProbe"} & set(container)
        assert probes == (
            set() if name in UNPROBED else {"startupProbe", "readinessProbe", "livenessProbe"}
        ), name


def test_probes_and_services_name_ports_that_the_containers_have(house: "House") -> None:
    ports: dict[str, set[str]] = {}
    for name, _, container in house.containers():
        own = {port["name"] for port in container.get("ports", [])}
        ports.setdefault(name.split("/")[0], set()).update(own)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["port"] in own, name

    for service in house.engine.created("Service"):
        pods = f"{service.name.removesuffix('-service')}-deployment"
        for port in service.inputs["spec"]["ports"]:
            assert port["targetPort"] in ports[pods], service.name


def test_every_mount_has_its_volume_and_every_volume_its_mount(house: "House") -> None:
    mounts: dict[str, set[str]] = {}
    volumes: dict[str, set[str]] = {}
    for name, pod, container in house.containers():
        owner = name.split("/")[0]
        volumes[owner] = {volume["name"] for volume in pod.get("volumes", [])}
        mounts.setdefault(owner, set()).update(
            mount["name"] for mount in container.get("volumeMounts", [])
        )

    assert mounts == volumes


def test_the_platform_runs_on_its_own_pool_and_plugins_on_gpu_nodes(house: "House") -> None:
    for name, pod, _ in house.containers():
        pool = house.contract.pool("gpu" if name.startswith("accelerators") else "cpu")
        assert pod["nodeSelector"] == pool.labels, name


def test_what_has_replicas_has_a_disruption_budget_and_keeps_apart(house: "House") -> None:
    replicated = {
        one.inputs["metadata"]["name"]: one.inputs["spec"]["template"]["spec"]
        for one in house.engine.created("Deployment")
        if one.inputs["spec"]["replicas"] > 1
    }
    budgets = {
        one.inputs["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]: one.inputs["spec"]
        for one in house.engine.created("PodDisruptionBudget")
    }

    assert set(replicated) == {"traefik", "doorkeeper"}
    assert set(budgets) == set(replicated)
    for name, pod in replicated.items():
        assert budgets[name]["minAvailable"] == 1
        assert pod["topologySpreadConstraints"], name


def test_what_owns_a_volume_stops_before_its_successor_starts(house: "House") -> None:
    for one in house.engine.created("Deployment"):
        spec = one.inputs["spec"]
        volumes = spec["template"]["spec"].get("volumes", [])
        if any("persistentVolumeClaim" in volume for volume in volumes):
            assert spec["strategy"] == {"type": "Recreate"}, one.name


def test_the_pods_that_make_volumes_are_bounded_and_confined_too(house: "House") -> None:
    data = house.engine.one("ConfigMap", "local-path-config")["data"]
    pod = yaml.safe_load(data["helperPod.yaml"])["spec"]
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert "@sha256:" in container["image"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
