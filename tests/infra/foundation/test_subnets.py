"""Address ranges and sizes as properties: whatever the range, the subnets must be a VPC's."""

import ipaddress
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from infra.foundation import addresses, sizing, subnets, tables
from infra.foundation.tables import Instance

PREFIXES = st.integers(addresses.LARGEST, addresses.SMALLEST)


def block(within: str, prefix: int, number: int) -> str:
    """One range of a length inside a private block."""
    outer = ipaddress.IPv4Network(within)
    step = 2 ** (32 - prefix)
    first = int(outer.network_address) + number % (outer.num_addresses // step) * step
    return f"{ipaddress.IPv4Address(first)}/{prefix}"


HOSTS = st.builds(block, st.just("10.0.0.0/8"), PREFIXES, st.integers(0, 2**16))
PODS = st.builds(block, st.just("100.64.0.0/10"), PREFIXES, st.integers(0, 2**16))


@given(HOSTS, PODS)
def test_subnets_lie_in_their_range_and_never_overlap(hosts: str, pods: str) -> None:
    plan = subnets.layout(hosts, pods)
    of_hosts = [*plan.private, *plan.public, *plan.data]

    assert all(one.subnet_of(ipaddress.IPv4Network(hosts)) for one in of_hosts)
    assert all(one.subnet_of(ipaddress.IPv4Network(pods)) for one in plan.pods)
    assert not [pair for pair in combinations(of_hosts, 2) if pair[0].overlaps(pair[1])]
    assert not [pair for pair in combinations(plan.pods, 2) if pair[0].overlaps(pair[1])]


@given(HOSTS, PODS)
def test_every_zone_has_one_subnet_of_each_kind_and_aws_takes_each(hosts: str, pods: str) -> None:
    plan = subnets.layout(hosts, pods)

    for kind in (plan.private, plan.public, plan.data, plan.pods):
        assert len(kind) == subnets.ZONES
        assert len({one.prefixlen for one in kind}) == 1
        assert all(16 <= one.prefixlen <= 28 for one in kind)


@given(HOSTS, PODS, st.integers(0, 255))
def test_the_same_ranges_are_always_divided_the_same_way(hosts: str, pods: str, other: int) -> None:
    assert subnets.layout(hosts, pods) == subnets.layout(hosts, pods)
    # Other pods change nothing for nodes: their subnets would be replaced otherwise.
    assert (
        subnets.layout(hosts, block("100.64.0.0/10", 16, other)).private
        == subnets.layout(hosts, pods).private
    )


@given(st.integers(16, 32))
def test_aws_keeps_five_addresses_of_every_subnet(prefix: int) -> None:
    found = subnets.usable(ipaddress.IPv4Network(f"10.0.0.0/{prefix}"))

    assert found == max(2 ** (32 - prefix) - 5, 0)


INSTANCES = st.builds(
    Instance,
    arch=st.just("x86_64"),
    vcpus=st.integers(1, 448),
    memory_mib=st.just(1024),
    interfaces=st.integers(1, 15),
    addresses_per_interface=st.integers(2, 50),
    network_cards=st.just(1),
    efa=st.just(0),
    capacity=st.just(()),
    zones=st.just(()),
)


@given(INSTANCES)
def test_a_node_runs_no_more_pods_than_it_has_addresses_or_aws_allows(one: Instance) -> None:
    pods = sizing.max_pods(one)
    addresses_of_pods = (one.interfaces - 1) * (one.addresses_per_interface - 1) * sizing.PREFIX

    assert pods <= addresses_of_pods + sizing.HOST_NETWORK_PODS
    assert pods <= (110 if one.vcpus <= 30 else 250)


@given(INSTANCES, st.integers(1, 10))
def test_more_interfaces_never_mean_fewer_pods(one: Instance, more: int) -> None:
    larger = one.model_copy(update={"interfaces": one.interfaces + more})

    assert sizing.max_pods(larger) >= sizing.max_pods(one)


@given(st.integers(1, 250))
def test_pods_take_whole_prefixes_and_one_address_of_their_interface(pods: int) -> None:
    taken = sizing.pod_addresses(pods)

    assert (taken - 1) % sizing.PREFIX == 0
    assert taken - 1 >= pods + sizing.PREFIX


@given(st.integers(0, 1000), st.integers(1, 3))
def test_an_even_spread_has_room_for_every_node(nodes: int, zones: int) -> None:
    fullest = sizing.largest(nodes, ["zone"] * zones)

    assert nodes <= fullest * zones < nodes + zones


def test_known_sizes_are_what_aws_says() -> None:
    # eni-max-pods.txt of the EKS image has 58 for m7i.xlarge without prefixes; with them, and the
    # first interface for the node alone, its ceiling of 110 decides.
    known = tables.instances().instances

    assert sizing.max_pods(known["m7i.xlarge"]) == 110
    assert sizing.max_pods(known["p5.48xlarge"]) == 250
