"""How many pods a node runs, and how many addresses that takes. Plain arithmetic.

Pods get addresses of ``network.pods`` in prefixes of 16 (prefix delegation), on interfaces of their
own (custom networking): the first interface carries the node's own address only.
"""

from collections.abc import Sequence

from infra.foundation.settings import Pool
from infra.foundation.tables import Instance

PREFIX = 16
"""Addresses that the VPC takes from a subnet at once for pods."""

FEW_CPUS, PODS_OF_FEW, PODS_OF_MANY = 30, 110, 250
"""AWS's own ceiling for pods of a node: 110 up to 30 vCPUs, 250 above."""

HOST_NETWORK_PODS = 2
"""The CNI and kube-proxy, which share their node's address."""


def max_pods(instance: Instance) -> int:
    """Pods that the kubelet may run: by addresses, and at most AWS's ceiling."""
    interfaces = instance.interfaces - 1
    by_address = interfaces * (instance.addresses_per_interface - 1) * PREFIX + HOST_NETWORK_PODS
    ceiling = PODS_OF_FEW if instance.vcpus <= FEW_CPUS else PODS_OF_MANY
    return min(by_address, ceiling)


def pod_addresses(pods: int) -> int:
    """Addresses of a pod subnet that a node with so many pods takes, in whole prefixes.

    One more prefix is kept warm, and each interface takes one address for itself.
    """
    prefixes = -(-pods // PREFIX) + 1
    return prefixes * PREFIX + 1


def largest(nodes: int, zones: Sequence[str]) -> int:
    """Nodes in the fullest zone when they are spread evenly."""
    return -(-nodes // len(zones))


def devices(pool: Pool, of_one: int) -> int:
    """Devices that a node of the pool offers when sharing makes ``of_one`` of each accelerator."""
    return pool.accelerator.number * of_one if pool.accelerator else 0
