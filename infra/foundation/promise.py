"""What the contract of a cluster in an account will say before the account has made it."""

from typing import TYPE_CHECKING

from infra.foundation import place, placement, rights
from infra.foundation.settings import Aws, Mig, Pool, TimeSlicing

if TYPE_CHECKING:
    from infra.environment import Environment

NOT_KNOWN_YET = "not known before the cluster is"
EBS = "ebs-csi-default-sc"
"""The class that the EBS add-on makes: encrypted, and its volumes can grow."""

HTTPS = 443


def in_account(environment: "Environment", aws: Aws) -> dict[str, object]:
    """The parts of infra.contract.Contract that differ from a cluster of hosts."""
    repository = f"{aws.registry}/models"
    return {
        "api": NOT_KNOWN_YET,
        "storage_class": EBS,
        "registry": {
            "pull": repository,
            "push": repository,
            "node_port": environment.node_ports.registry,
            "pulled_by": "nodes",
        },
        "gateway": {
            "url": f"https://{aws.domain}",
            "node_port": environment.node_ports.gateway,
            "port": HTTPS,
        },
        "pools": [_pool(pool) for pool in aws.pools],
        "network_engine": "vpc-cni",
        "enforces_network_policy": True,
        "existing": ("registry",),
        "identity": "pod-identity",
        "autoscaling": {"cluster": place.of(environment, aws).prefix, "region": aws.region},
        "shippers": rights.SHIPPERS if aws.github else None,
        "kubelets_certified": True,
    }


def _pool(pool: Pool) -> dict[str, object]:
    """Pods tolerate the accelerator's taint; who wants a pool's other taints says so itself."""
    taints = placement.taints(pool)
    return {
        "name": pool.name,
        "kind": placement.kind(pool),
        "simulated": False,
        "gpus_per_node": placement.devices(pool),
        "mig": isinstance(pool.sharing, Mig),
        "replicas": pool.sharing.replicas if isinstance(pool.sharing, TimeSlicing) else 1,
        "efa": pool.efa,
        "labels": placement.labels(pool),
        "taint": taints[0] if taints else None,
    }
