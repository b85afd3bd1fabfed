import contextlib
import ipaddress
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import environment, refusal
from infra.environment import KEY, Environment, Network
from infra.refusal import Refusal

CONFIG = Path(__file__).parent / "config"
VALID = sorted(CONFIG.glob("valid-*.yaml"))
INVALID = sorted(CONFIG.glob("invalid-*.yaml"))


def load(path: Path) -> Environment:
    return refusal.read(path, Environment, inside=KEY)


def test_there_are_cases_of_both_kinds() -> None:
    assert len(VALID) >= 3
    assert len(INVALID) >= 12


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_sound_environment_loads(path: Path) -> None:
    assert load(path).name


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_unsound_environment_is_refused_with_key_value_rule_and_remedy(path: Path) -> None:
    # The first line of such a file says what the refusal must say.
    expected = path.read_text().splitlines()[0].removeprefix("# refused: ")

    with pytest.raises(Refusal) as refused:
        load(path)

    assert re.search(expected, str(refused.value)), str(refused.value)
    assert str(path) in refused.value.where
    assert refused.value.rule
    assert refused.value.remedy.endswith(".")


@pytest.mark.parametrize("name", environment.names())
def test_every_committed_environment_loads(name: str) -> None:
    assert environment.load(name).name == name


def test_an_unknown_environment_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match=r"environment is 'lokal'.*Known environments: .*local"):
        environment.load("lokal")


def test_nodes_are_numbered_by_pool_and_have_fixed_addresses() -> None:
    nodes = environment.load("local").nodes()

    assert [(node.name, node.address) for node in nodes] == [
        ("control-1", "172.30.0.11"),
        ("cpu-1", "172.30.0.12"),
        ("gpu-1", "172.30.0.13"),
    ]


def test_a_pool_that_grows_takes_no_address_from_a_node_that_is_there() -> None:
    nodes = load(CONFIG / "valid-several-nodes.yaml").nodes()

    assert [(node.name, node.address) for node in nodes] == [
        ("control-1", "10.0.0.11"),
        ("cpu-1", "10.0.0.12"),
        ("control-2", "10.0.0.13"),
        ("cpu-2", "10.0.0.14"),
        ("control-3", "10.0.0.15"),
    ]


def test_committed_environments_share_no_address_and_no_port() -> None:
    loaded = [environment.load(name) for name in environment.names()]
    hosts = [one for one in loaded if one.cluster.substrate == "hosts"]
    for index, one in enumerate(hosts):
        for other in hosts[index + 1 :]:
            ports = [set(each.published.model_dump().values()) for each in (one, other)]
            assert ports[0] & ports[1] == set()
            networks = [ipaddress.ip_network(each.network.hosts) for each in (one, other)]
            assert not networks[0].overlaps(networks[1])


@given(st.permutations(["10.0.0.0/8", "10.9.0.0/16", "192.168.0.0/24"]))
def test_networks_that_overlap_are_refused_in_any_order(cidrs: list[str]) -> None:
    document = dict(zip(("hosts", "pods", "services"), cidrs, strict=True))

    with pytest.raises(Refusal, match="overlap"):
        refusal.check(document, Network, where="network")


@given(
    st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()), st.floats()),
    st.sampled_from(list(Environment.model_fields)),
)
def test_anything_at_any_key_is_accepted_or_refused_but_never_breaks(
    value: object, key: str
) -> None:
    document = environment.load("local").model_dump(mode="json") | {key: value}

    with contextlib.suppress(Refusal):
        accepted = refusal.check(document, Environment, where="document")
        assert accepted.model_dump(mode="json") == document


def test_no_two_environments_share_an_account_or_an_address() -> None:
    loaded = [environment.load(name) for name in environment.names()]
    accounts = [one for one in loaded if one.aws is not None]

    assert len({one.aws.account for one in accounts if one.aws}) == len(accounts) == 3
    for index, one in enumerate(accounts):
        for other in accounts[index + 1 :]:
            for key in ("hosts", "pods"):
                ranges = [ipaddress.ip_network(getattr(e.network, key)) for e in (one, other)]
                assert not ranges[0].overlaps(ranges[1]), key


def test_environments_of_accounts_differ_in_data_only() -> None:
    # The same keys everywhere, so that what was tried in one is what comes up in the next.
    keys = {
        name: set(environment.load(name).model_dump(exclude_none=True)["aws"])
        for name in ("dev", "staging", "prod")
    }

    assert keys["dev"] == keys["staging"] == keys["prod"]


def test_an_environment_of_an_account_publishes_nothing_on_this_machine() -> None:
    with pytest.raises(TypeError, match="dev publishes nothing on this machine"):
        _ = environment.load("dev").published
