"""Networks and ports in conditions and templates: `ADDRESS | in_network(LIST)`,
`LIST | by_family`, `LIST | no_ports`."""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network

HIGHEST = 65535


def by_family(networks: Iterable[str]) -> dict[str, list[str]]:
    """Networks by nftables' word for their family; ValueError for what is no network."""
    found: dict[str, list[str]] = {}
    for network in networks:
        family = "ip" if ip_network(network).version == 4 else "ip6"
        found.setdefault(family, []).append(str(network))
    return found


def in_network(address: str, networks: Iterable[str]) -> bool:
    """Whether an address is in one of the networks."""
    return any(ip_address(address) in ip_network(network) for network in networks)


def no_ports(given: Iterable[str]) -> list[str]:
    """Those that are neither a port nor two as FIRST-LAST."""
    return [one for one in given if not _ports(str(one))]


def _ports(text: str) -> bool:
    if not re.fullmatch(r"[1-9][0-9]*(-[1-9][0-9]*)?", text):
        return False
    ends = [int(end) for end in text.split("-")]
    return ends == sorted(set(ends)) and ends[-1] <= HIGHEST


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """By name."""
        return {"by_family": by_family, "in_network": in_network, "no_ports": no_ports}
