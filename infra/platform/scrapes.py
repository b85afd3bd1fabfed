"""What Prometheus scrapes, as data. No pulumi here: the same text is checked by promtool."""

from typing import Any

import yaml

from infra.contract import Contract
from infra.platform import spaces

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
CLUSTER_CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
CONFIG = "/etc/prometheus"
ENVIRONMENT_CA = f"{CONFIG}/ca.crt"

# Components with a metrics port in the clear: job name by (namespace, component).
PLAIN = {
    "traefik": (spaces.GATEWAY, spaces.TRAEFIK),
    "doorkeeper": (spaces.GATEWAY, spaces.DOORKEEPER),
    "registry": (spaces.REGISTRY, spaces.DISTRIBUTION),
    "argo-rollouts": (spaces.DELIVERY, spaces.ROLLOUTS),
}
# Jobs that have targets from the first minute of a platform; models come and go.
PERMANENT = (
    "prometheus",
    *PLAIN,
    "metrics-server",
    "kube-apiserver",
    "kubelet",
    "cadvisor",
    "coredns",
)
JOBS = (*PERMANENT, "models")
HOSTS = "node-exporter"
# Who has another's has no target of the job.
TEAMS = {"traefik": "gateway", "registry": "registry", "metrics-server": "metrics"}
# Namespaces in which pods are looked for.
PODS_IN = (
    spaces.GATEWAY,
    spaces.REGISTRY,
    spaces.DELIVERY,
    spaces.MONITORING,
    spaces.MODELS,
    "kube-system",
)

_POD = "__meta_kubernetes_pod"


def plain(contract: Contract) -> dict[str, tuple[str, str]]:
    """Components of this cluster with a metrics port in the clear."""
    found = {job: where for job, where in PLAIN.items() if _ours(job, contract)}
    if any(pool.kind == "gpu" and not pool.simulated for pool in contract.pools):
        found["dcgm"] = (spaces.ACCELERATORS, spaces.DCGM)
    if contract.autoscaling:
        found["cluster-autoscaler"] = (spaces.AUTOSCALING, spaces.AUTOSCALER)
    return found


def permanent(contract: Contract) -> tuple[str, ...]:
    """Jobs of this cluster that always have targets."""
    hosts = (HOSTS,) if contract.node_exporter else ()
    return (*(job for job in PERMANENT if _ours(job, contract)), *hosts)


def _ours(job: str, contract: Contract) -> bool:
    return TEAMS.get(job) not in contract.existing


def pods_in(contract: Contract) -> tuple[str, ...]:
    """Namespaces of this cluster in which pods are looked for."""
    more = {namespace for namespace, _ in plain(contract).values()}
    empty = spaces.left_out(contract)
    return tuple(one for one in (*PODS_IN, *sorted(more - set(PODS_IN))) if one not in empty)


def configuration(contract: Contract) -> str:
    """prometheus.yml."""
    document = {
        "global": {
            "scrape_interval": "15s",
            "scrape_timeout": "10s",
            "evaluation_interval": "15s",
            "external_labels": {"environment": contract.environment},
        },
        "rule_files": [f"{CONFIG}/rules.yml"],
        "scrape_configs": [
            {
                "job_name": "prometheus",
                "static_configs": [{"targets": ["localhost:9090"]}],
            },
            *(
                _pods(job, namespace, f"app.kubernetes.io/name={component}")
                for job, (namespace, component) in plain(contract).items()
            ),
            *([_metrics_server()] if _ours("metrics-server", contract) else []),
            _api_server(),
            _nodes("kubelet", "/metrics", contract),
            _nodes("cadvisor", "/metrics/cadvisor", contract),
            *([_hosts()] if contract.node_exporter else []),
            _pods("coredns", "kube-system", "k8s-app=kube-dns"),
            _models(),
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _pods(job: str, namespace: str, label: str, port: str = spaces.METRICS_PORT) -> dict[str, Any]:
    """Running pods with a label: the container port of a name, whatever its number."""
    selector = {"role": "pod", "label": label}
    return {
        "job_name": job,
        "kubernetes_sd_configs": [
            {"role": "pod", "namespaces": {"names": [namespace]}, "selectors": [selector]}
        ],
        "relabel_configs": [
            _keep(f"{_POD}_container_port_name", port),
            # A pod that has ended keeps its address in the API for a while.
            _keep(f"{_POD}_phase", "Running"),
            _copy("__meta_kubernetes_namespace", "namespace"),
            _copy(f"{_POD}_name", "pod"),
            _copy(f"{_POD}_node_name", "node"),
        ],
    }


def _metrics_server() -> dict[str, Any]:
    label = f"app.kubernetes.io/name={spaces.METRICS_SERVER}"
    job = _pods("metrics-server", spaces.MONITORING, label)
    # The environment's CA signed its certificate, for the name of its Service.
    name = f"{spaces.METRICS_SERVER}.{spaces.MONITORING}.svc"
    return job | _secured({"ca_file": ENVIRONMENT_CA, "server_name": name})


def _api_server() -> dict[str, Any]:
    """Every API server behind the Service `kubernetes`."""
    return {
        "job_name": "kube-apiserver",
        # Large and slow to change.
        "scrape_interval": "60s",
        "kubernetes_sd_configs": [{"role": "endpointslice", "namespaces": {"names": ["default"]}}],
        **_secured({"ca_file": CLUSTER_CA, "server_name": "kubernetes.default.svc"}),
        "relabel_configs": [
            _keep("__meta_kubernetes_service_name", "kubernetes"),
            _keep("__meta_kubernetes_endpointslice_port_name", "https"),
        ],
        "metric_relabel_configs": [
            # 40,000 series that nobody here asks for; sums and counts stay.
            _drop("__name__", "(apiserver|etcd|workqueue|rest_client)_.*_bucket"),
        ],
    }


def _nodes(job: str, path: str, contract: Contract) -> dict[str, Any]:
    tls: dict[str, Any] = (
        {"ca_file": CLUSTER_CA}
        if contract.kubelets_certified
        # Their certificates are self-signed, so there is nothing to check them against.
        else {"insecure_skip_verify": True}
    )
    return {
        "job_name": job,
        "scrape_interval": "60s",
        "metrics_path": path,
        "kubernetes_sd_configs": [{"role": "node"}],
        **_secured(tls),
        "relabel_configs": [_copy("__meta_kubernetes_node_name", "node")],
        "metric_relabel_configs": [_drop("__name__", "(kubelet|rest_client|storage)_.*_bucket")],
    }


def _hosts() -> dict[str, Any]:
    """Node exporter of every node, at the address that the kubelet told."""
    address = {
        "source_labels": ["__meta_kubernetes_node_address_InternalIP"],
        "replacement": f"$1:{spaces.NODE_EXPORTER_PORT}",
        "target_label": "__address__",
    }
    return {
        "job_name": HOSTS,
        "scrape_interval": "60s",
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [address, _copy("__meta_kubernetes_node_name", "node")],
    }


def _models() -> dict[str, Any]:
    label = f"{spaces.SCRAPE_LABEL}=true"
    job = _pods("models", spaces.MODELS, label, port=spaces.MODEL_PORT)
    job["relabel_configs"] += [
        _copy(f"{_POD}_label_{_meta(spaces.MODEL_LABEL)}", "model"),
        _copy(f"{_POD}_label_{_meta(spaces.VERSION_LABEL)}", "version"),
    ]
    return job


def _meta(label: str) -> str:
    """A label's name as service discovery spells it."""
    return "".join(letter if letter.isalnum() else "_" for letter in label)


def _secured(tls: dict[str, Any]) -> dict[str, Any]:
    return {
        "scheme": "https",
        "authorization": {"credentials_file": TOKEN},
        "tls_config": tls,
    }


def _keep(source: str, pattern: str) -> dict[str, Any]:
    return {"source_labels": [source], "regex": pattern, "action": "keep"}


def _drop(source: str, pattern: str) -> dict[str, Any]:
    return {"source_labels": [source], "regex": pattern, "action": "drop"}


def _copy(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}
