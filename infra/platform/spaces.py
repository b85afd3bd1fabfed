"""Names that the platform's parts call each other by: namespaces, components, ports.

``infra/models`` may import this module; it makes no resources.
"""

from typing import TYPE_CHECKING

from infra.storage import in_folders

if TYPE_CHECKING:
    from infra.contract import Described

STORAGE = "storage"
REGISTRY = "registry"
GATEWAY = "gateway"
DELIVERY = "delivery"
MONITORING = "monitoring"
ACCELERATORS = "accelerators"
MODELS = "models"
AUTOSCALING = "autoscaling"

# app.kubernetes.io/name of each component.
PROVISIONER = "local-path-provisioner"
DISTRIBUTION = "registry"
TRAEFIK = "traefik"
DOORKEEPER = "doorkeeper"
ROLLOUTS = "argo-rollouts"
METRICS_SERVER = "metrics-server"
PROMETHEUS = "prometheus"
DEVICE_PLUGIN = "gpu-device-plugin"
NVIDIA_PLUGIN = "nvidia-device-plugin"
DCGM = "dcgm-exporter"
NEURON_PLUGIN = "neuron-device-plugin"
EFA_PLUGIN = "efa-device-plugin"
AUTOSCALER = "cluster-autoscaler"

PROMETHEUS_PORT = 9090
DCGM_PORT = 9400
AUTOSCALER_PORT = 8085
NODE_EXPORTER_PORT = 9100
# Names of container ports. Prometheus keeps the targets of a pod by them.
METRICS_PORT = "metrics"
MODEL_PORT = "http"
MODEL_PORT_NUMBER = 3000

MODEL_LABEL = "modelyard.dev/model"
VERSION_LABEL = "modelyard.dev/version"
SCRAPE_LABEL = "modelyard.dev/scrape"

# What pods of models run as, and what the kubelet pulls their images with.
MODEL_ACCOUNT = "model"
PULL_SECRET = "registry-pull"  # noqa: S105 - the name of a Secret


def left_out(told: "Described") -> frozenset[str]:
    """Namespaces that nothing would stand in, as the cluster has what belongs there: one of that
    name may well be the team's."""
    devices = {"gpu", "neuron"}
    plugins = "devices" not in told.existing and any(
        pool.kind in devices or pool.efa for pool in told.pools
    )
    empty = {
        STORAGE: not in_folders(told.classes),
        REGISTRY: "registry" in told.existing,
        MONITORING: {"monitoring", "metrics"} <= {*told.existing},
        ACCELERATORS: not plugins and not any(pool.simulated for pool in told.pools),
    }
    return frozenset(name for name, is_empty in empty.items() if is_empty)
