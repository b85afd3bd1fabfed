"""How the address ranges of an environment are divided among zones. Plain arithmetic.

Of ``network.hosts`` each zone gets a quarter for nodes, endpoints and load balancers; the last
quarter is divided into eight, three for public subnets (NAT) and three for databases. Of
``network.pods`` each zone gets a quarter. The fourth quarter and two of the eighths stay free.
"""

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Network

ZONES = 3
RESERVED = 5
"""AWS keeps the first four addresses and the last one of every subnet."""


@dataclass(frozen=True)
class Layout:
    """One subnet of each kind per zone, in the order of the zones."""

    private: tuple[IPv4Network, ...]
    public: tuple[IPv4Network, ...]
    data: tuple[IPv4Network, ...]
    pods: tuple[IPv4Network, ...]


def layout(hosts: str, pods: str) -> Layout:
    """Divide the ranges; ValueError where a range is too small to divide."""
    quarters = _divided(hosts, 4)
    eighths = _divided(str(quarters[ZONES]), 8)
    return Layout(
        private=quarters[:ZONES],
        public=eighths[:ZONES],
        data=eighths[ZONES : 2 * ZONES],
        pods=_divided(pods, 4)[:ZONES],
    )


def usable(subnet: IPv4Network) -> int:
    """Addresses of a subnet that interfaces can have."""
    return max(subnet.num_addresses - RESERVED, 0)


def _divided(text: str, parts: int) -> tuple[IPv4Network, ...]:
    network = ipaddress.IPv4Network(text)
    return tuple(network.subnets(prefixlen_diff=(parts - 1).bit_length()))
