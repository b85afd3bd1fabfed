"""The platform as it stands: watched, closed, bounded, and left alone by a second `yard up`."""

import json
import socket
from typing import Any

import httpx
import pytest
import yaml

from tests.system.house import NAME, House, Kubernetes, run, told, until

pytestmark = pytest.mark.system

NAMESPACES = (
    "registry",
    "gateway",
    "delivery",
    "monitoring",
    "storage",
    "accelerators",
    "models",
)
PROMETHEUS = "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1"
# The platform's own parts, the models, and the cluster under them.
JOBS = {
    *("registry", "traefik", "doorkeeper", "argo-rollouts", "metrics-server", "prometheus"),
    *("models", "kube-apiserver", "kubelet", "cadvisor", "coredns"),
}
# The registry hides a manifest from who does not say that it is understood.
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
# The kubelet's folder of plugin sockets belongs to root; nothing else here runs as root.
ROOT_ALLOWED = {("accelerators", "gpu-device-plugin")}


def pods(kubernetes: Kubernetes) -> list[dict[str, Any]]:
    """Every pod of the platform and the models that is not on its way out."""
    return [
        pod
        for namespace in NAMESPACES
        for pod in kubernetes.items(f"/api/v1/namespaces/{namespace}/pods")
        if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
    ]


def targets(kubernetes: Kubernetes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kubernetes.get(f"{PROMETHEUS}/targets", state="active")["data"][
        "activeTargets"
    ]
    return found


def test_every_target_of_prometheus_is_up(kubernetes: Kubernetes) -> None:
    def down() -> list[str]:
        return [
            f"{t['scrapeUrl']}: {t['lastError']}"
            for t in targets(kubernetes)
            if t["health"] != "up"
        ]

    # A pod that has just come is listed before it is scraped for the first time.
    until("no target is down: " + "; ".join(down()), lambda: not down(), seconds=90)


def test_every_job_is_configured_and_has_a_target(
    kubernetes: Kubernetes,
) -> None:
    config = yaml.safe_load(kubernetes.get(f"{PROMETHEUS}/status/config")["data"]["yaml"])
    configured = {job["job_name"] for job in config["scrape_configs"]}

    assert configured == JOBS
    # Pods that have just come are discovered some seconds later.
    until(
        f"each of {sorted(configured)} has a target",
        lambda: {target["scrapePool"] for target in targets(kubernetes)} == configured,
        seconds=60,
    )


def test_metrics_server_measures_every_node(kubernetes: Kubernetes) -> None:
    measured = {
        n["metadata"]["name"] for n in kubernetes.items("/apis/metrics.k8s.io/v1beta1/nodes")
    }

    assert measured == {n["metadata"]["name"] for n in kubernetes.items("/api/v1/nodes")}


def test_the_autoscaler_of_digits_gets_its_measurements(kubernetes: Kubernetes) -> None:
    path = "/apis/autoscaling/v2/namespaces/models/horizontalpodautoscalers/digits"

    def active() -> bool:
        conditions = kubernetes.get(path).get("status", {}).get("conditions", [])
        return any(c["type"] == "ScalingActive" and c["status"] == "True" for c in conditions)

    until("the autoscaler is active", active, seconds=180)


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_namespace_has_a_quota_and_denies_by_default(
    kubernetes: Kubernetes, namespace: str
) -> None:
    quotas = kubernetes.items(f"/api/v1/namespaces/{namespace}/resourcequotas")
    policies = kubernetes.items(
        f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    )
    denying = [
        p["metadata"]["name"]
        for p in policies
        if not p["spec"].get("podSelector")
        and set(p["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not p["spec"].get("ingress")
        and not p["spec"].get("egress")
    ]

    assert any(quota["spec"]["hard"] for quota in quotas)
    assert denying


def test_models_run_under_the_restricted_pod_security_standard(kubernetes: Kubernetes) -> None:
    labels = kubernetes.get("/api/v1/namespaces/models")["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def faults(pod: dict[str, Any]) -> list[str]:
    """What a pod's security context leaves open."""
    meta, spec = pod["metadata"], pod["spec"]
    whole = spec.get("securityContext", {})
    root_allowed = (
        meta["namespace"],
        meta["labels"].get("app.kubernetes.io/name"),
    ) in ROOT_ALLOWED
    found = [f"{key} is on" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        user = own.get("runAsUser", whole.get("runAsUser"))
        seccomp = own.get("seccompProfile", whole.get("seccompProfile")) or {}
        checks = {
            "no numeric non-root user": isinstance(user, int) and (user > 0 or root_allowed),
            "runAsNonRoot is off": root_allowed
            or own.get("runAsNonRoot", whole.get("runAsNonRoot")) is True,
            "the root is writable": own.get("readOnlyRootFilesystem") is True,
            "privileges may grow": own.get("allowPrivilegeEscalation") is False,
            "privileged": not own.get("privileged"),
            "capabilities are kept": own.get("capabilities", {}).get("drop") == ["ALL"],
            "capabilities are added": not own.get("capabilities", {}).get("add"),
            "no seccomp profile": seccomp.get("type") == "RuntimeDefault",
            "no memory limit": "memory" in container.get("resources", {}).get("limits", {}),
            "no digest": "@sha256:" in container["image"],
        }
        found += [f"{container['name']}: {fault}" for fault, good in checks.items() if not good]
    return [f"{meta['namespace']}/{meta['name']}: {fault}" for fault in found]


def test_every_pod_is_confined(kubernetes: Kubernetes) -> None:
    found = pods(kubernetes)

    assert {pod["metadata"]["namespace"] for pod in found} == set(NAMESPACES)
    assert [fault for pod in found for fault in faults(pod)] == []


def test_status_says_that_network_policies_are_not_enforced(house: House) -> None:
    said = house.done("status", NAME)

    assert ("not enforced" in said) is not house.contract.enforces_network_policy


@pytest.fixture(scope="module")
def digest(house: House) -> str:
    """The manifest that digits serves from."""
    return str(house.versions("digits")[0]["digest"])


# Without it the registry answers 404 for an OCI manifest.
OCI = "application/vnd.oci.image.manifest.v1+json"


def registry(house: House, account: str | None) -> httpx.Client:
    """The registry as this machine reaches it, by one of its accounts or by none."""
    password = house.contract.credentials / f"registry-{account}"
    return httpx.Client(
        base_url=f"https://{house.contract.registry.push}/v2",
        auth=(account, password.read_text().strip()) if account else None,
        verify=house.trust,
        trust_env=False,
    )


def test_the_registry_refuses_who_has_no_account(house: House, digest: str) -> None:
    with registry(house, None) as anonymous:
        for path in ("/", f"/digits/manifests/{digest}", "/_catalog"):
            assert anonymous.get(path).status_code == 401
        assert anonymous.post("/digits/blobs/uploads/").status_code == 401


def test_the_pull_account_reads(house: House, digest: str) -> None:
    with registry(house, "pull") as puller:
        answer = puller.get(f"/digits/manifests/{digest}", headers={"Accept": OCI})

    assert answer.status_code == 200
    assert answer.headers["docker-content-digest"] == digest


def test_the_pull_account_cannot_write(house: House, digest: str) -> None:
    with registry(house, "pull") as puller:
        assert puller.post("/digits/blobs/uploads/").status_code in (401, 403)
        assert puller.put("/digits/manifests/forged", content=b"{}").status_code in (401, 403)
        assert puller.delete(f"/digits/manifests/{digest}").status_code in (401, 403)


def test_the_push_account_writes(house: House) -> None:
    with registry(house, "push") as pusher:
        begun = pusher.post("/digits/blobs/uploads/")
        assert begun.status_code == 202
        upload = pusher.base_url.join(begun.headers["location"])
        assert pusher.delete(upload).status_code == 204


def test_the_registry_keeps_its_images_when_its_pod_is_replaced(
    house: House, kubernetes: Kubernetes, digest: str
) -> None:
    path = "/api/v1/namespaces/registry/pods"
    before = {pod["metadata"]["name"] for pod in kubernetes.items(path)}
    assert before
    for name in before:
        kubernetes.delete(f"{path}/{name}")
    until(
        "the old pod is gone",
        lambda: not before & {pod["metadata"]["name"] for pod in kubernetes.items(path)},
    )

    def kept() -> bool:
        try:
            with registry(house, "pull") as puller:
                answer = puller.get(f"/digits/manifests/{digest}", headers={"Accept": OCI})
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    until("the new pod of the registry serves the image", kept)


def containers() -> list[dict[str, Any]]:
    """The environment's node containers, as the engine describes them."""
    listed = run("docker", "ps", "-q", "--filter", f"label=modelyard.environment={NAME}")
    inspected = run("docker", "inspect", *listed.stdout.split())
    assert inspected.returncode == 0, told(inspected)
    found: list[dict[str, Any]] = json.loads(inspected.stdout)
    return found


def test_the_engine_publishes_the_three_ports_on_loopback_and_nothing_else(house: House) -> None:
    published = {
        (binding["HostIp"], int(binding["HostPort"]))
        for container in containers()
        for bindings in container["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }

    ports = house.environment.published
    assert published == {("127.0.0.1", p) for p in (ports.api, ports.gateway, ports.registry)}


def test_no_port_of_the_environment_answers_on_another_address_of_the_machine(
    house: House,
) -> None:
    addresses = [
        entry["local"]
        for link in json.loads(run("ip", "-json", "-4", "address").stdout)
        for entry in link["addr_info"]
        if not entry["local"].startswith("127.")
    ]
    assert addresses
    for address in addresses:
        for port in house.environment.published.model_dump().values():
            with socket.socket() as probe:
                probe.settimeout(2)
                assert probe.connect_ex((address, port)) != 0, f"{address}:{port} answers"


def test_a_second_up_changes_nothing(house: House, kubernetes: Kubernetes) -> None:
    def lives() -> dict[str, str]:
        return {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods(kubernetes)}

    before = lives()
    said = house.done("up", NAME)

    assert "nothing changed" in said
    assert lives() == before
    changes = json.loads(house.done("preview", NAME, "--json"))["changes"]
    assert changes.pop("same") > 0
    assert changes == {"create": 0, "update": 0, "replace": 0, "delete": 0}
