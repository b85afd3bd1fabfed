"""Whether the ranges of an environment are what a VPC takes, and hold the pools' nodes and pods."""

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Protocol

from infra.foundation import placement, sizing, subnets
from infra.foundation.settings import Aws
from infra.refusal import Refusal

LARGEST, SMALLEST = 16, 23
"""Prefixes of a VPC: AWS takes /16 to /28; below /23 the databases would get less than a /28."""

SERVICES = (12, 24)
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
SHARED = "100.64.0.0/10"
"""RFC 6598: AWS lets any VPC have a second range of it."""

ENDPOINTS = 32
"""Addresses of a private subnet for endpoints, load balancers and the control plane."""


class Ranges(Protocol):
    """The ranges of an environment."""

    @property
    def hosts(self) -> str:
        """First range of the VPC."""

    @property
    def pods(self) -> str:
        """Second range of the VPC."""

    @property
    def services(self) -> str:
        """Range of the cluster's Services, in no network."""


def require_ranges(network: Ranges) -> None:
    """Refuse ranges that AWS would refuse only while it makes them."""
    for key in ("hosts", "pods"):
        _prefix(f"network.{key}", getattr(network, key), LARGEST, SMALLEST, "a VPC's range")
    _prefix("network.services", network.services, *SERVICES, "EKS's range for Services")
    if _family(network.services) is None:
        raise Refusal(
            "network.services",
            network.services,
            f"EKS takes a range of {', '.join(PRIVATE)}",
            "Choose one there, such as 172.20.0.0/16.",
        )
    pods = ipaddress.IPv4Network(network.pods)
    same = _family(network.hosts) is not None and _family(network.pods) == _family(network.hosts)
    if not same and not pods.subnet_of(IPv4Network(SHARED)):
        raise Refusal(
            "network.pods",
            network.pods,
            f"as the second range of a VPC of {network.hosts} AWS takes one of the same private "
            f"block or of {SHARED}",
            "Choose such a range, such as 100.64.0.0/16.",
        )


def require_addresses(network: Ranges, aws: Aws) -> None:
    """Refuse when all pools at their max would not find addresses in one zone."""
    plan = subnets.layout(network.hosts, network.pods)
    for index, zone in enumerate(aws.zones):
        pods = sum(nodes * each for nodes, each in _pods_in(aws, zone))
        nodes = sum(nodes for nodes, _ in _pods_in(aws, zone))
        _enough("network.pods", network.pods, plan.pods[index], pods, zone, "pods")
        _enough(
            "network.hosts", network.hosts, plan.private[index], nodes + ENDPOINTS, zone, "nodes"
        )


def _pods_in(aws: Aws, zone: str) -> Iterator[tuple[int, int]]:
    """(nodes, addresses of pods of each) per pool that may be in a zone, at its max."""
    for pool in aws.pools:
        zones = placement.zones(aws, pool)
        if zone in zones:
            nodes = sizing.largest(pool.max, zones)
            yield nodes, sizing.pod_addresses(placement.max_pods(pool))


def _enough(key: str, value: str, subnet: IPv4Network, need: int, zone: str, what: str) -> None:
    have = subnets.usable(subnet)
    if need > have:
        raise Refusal(
            key,
            value,
            f"with all pools at their max, {what} of {zone} need {need} addresses, and {subnet} "
            f"has {have}",
            f"Widen {key} to hold four times {need}, or lower max of the pools.",
        )


def _prefix(key: str, value: str, shortest: int, longest: int, what: str) -> None:
    network = ipaddress.ip_network(value)
    if network.version != 4 or not shortest <= network.prefixlen <= longest:
        raise Refusal(
            key,
            value,
            f"{what} is of IPv4, with a prefix of /{shortest} to /{longest}",
            f"Choose a range of /{shortest} to /{longest}.",
        )


def _family(value: str) -> str | None:
    """The private block of RFC 1918 that a range lies in."""
    network = ipaddress.IPv4Network(value)
    for block in PRIVATE:
        if network.subnet_of(IPv4Network(block)):
            return block
    return None
