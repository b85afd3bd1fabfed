"""The row through the gateway: a client's way, over TLS with a token, to the pods that serve."""

from typing import Any

from ci.bench import measure, processes
from ci.bench.load import Target
from ci.bench.results import Measured
from ci.bench.serve import Server
from ci.bench.stage import Stage
from ci.pipeline import cluster
from infra.contract import Contract
from infra.models import labels
from infra.platform import spaces


def measured(contract: Contract, stage: Stage, seconds: float) -> Measured:
    """Measure the model that an environment serves.

    CPU time is that of the model's pods and of all in the gateway's namespaces. The load keeps to
    its core; the pods run wherever the kernel puts them.
    """
    token = (contract.credentials / "token").read_text().strip()
    target = Target(
        url=f"{contract.gateway.url}/{stage.model}{stage.route}",
        bodies=stage.bodies,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        authority=contract.authority,
    )
    asked = {spaces.GATEWAY, contract.gateway.namespace}
    pods = [pod for pod in cluster.pods(contract) if _serves(pod.metadata, stage.model, asked)]
    used = processes.of_pods({pod.metadata.uid for pod in pods})
    return measure.loads(Server(url=target.url, cpu_seconds=used, leader=0), target, stage, seconds)


def _serves(metadata: Any, model: str, asked: set[str]) -> bool:
    if metadata.namespace in asked:
        return True
    return bool(labels.selector(model).items() <= (metadata.labels or {}).items())
