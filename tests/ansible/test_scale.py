"""What playbooks of the whole cluster refuse, and what they read, without a cluster."""

import json
from pathlib import Path

import pytest

from tests.ansible import example
from tests.ansible.test_roles import _plugin


def _refused(tmp_path: Path, playbook: str, *arguments: str) -> tuple[int, str]:
    """What a playbook says over the example `onprem`, whose hosts are this machine here."""
    groups = {"control_plane": example.hosts("control-1"), "workers": example.hosts("cpu-1")}
    done = example.play(tmp_path, groups, playbook, "--check", *arguments)
    return done.returncode, " ".join(done.stdout.split()).replace("''", "'")


@pytest.mark.parametrize(
    ("playbook", "arguments", "expected"),
    [
        ("scale", (), "not set, not set"),
        ("scale", ("scale_add=cpu-1", "scale_remove=cpu-1"), "cpu-1, cpu-1"),
        ("scale", ("scale_remove=cpu-9",), "none of the group kubernetes"),
        ("scale", ("scale_remove=control-1",), "that stay (none) most have to be ready"),
        ("drivers", (), "drivers are those of the hosts in this group"),
        ("upgrade", ("upgrade_share=0",), "a number from 1"),
        ("upgrade", ("upgrade_share=-1",), "a number from 1"),
        ("upgrade", ("upgrade_share=101%",), "a share from 1% to 100%"),
        ("upgrade", ("upgrade_share=half",), "upgrade_share is 'half'"),
        ("hosts", (), "have this machine's disks and clock"),
        ("reset", (), "Add -e reset_environment=onprem"),
        ("reset", ("reset_environment=test",), "whose cluster would be destroyed"),
        ("reset", ("reset_environment=onprem",), "Set it to false in Pulumi.onprem.yaml"),
    ],
    ids=[
        *("nothing", "both", "unknown", "the only control plane", "no GPUs"),
        *("none at a time", "less than none", "more than all", "no number"),
        *("no machines", "not named", "another", "protected"),
    ],
)  # fmt: skip
def test_a_run_that_nobody_can_mean_is_refused_before_anything_is_done(
    tmp_path: Path, playbook: str, arguments: tuple[str, ...], expected: str
) -> None:
    extra = [part for one in arguments for part in ("--extra-vars", one)]

    code, said = _refused(tmp_path, playbook, *extra)

    assert code == 2
    assert expected in said
    assert "remedy:" in said
    assert "changed=1" not in said


def _volume(name: str, claim: str, *nodes: str, key: str = "kubernetes.io/hostname") -> object:
    expression = {"key": key, "operator": "In", "values": list(nodes)}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    spec = {"nodeAffinity": affinity, "claimRef": {"namespace": "platform", "name": claim}}
    return {"metadata": {"name": name}, "spec": spec}


def test_volumes_on_a_nodes_disks_are_those_that_can_be_nowhere_else() -> None:
    unbound = {"metadata": {"name": "everywhere"}, "spec": {}}
    listed = json.dumps(
        {
            "items": [
                _volume("a", "registry", "cpu-1"),
                _volume("b", "metrics", "cpu-2"),
                _volume("c", "shared", "cpu-1", "cpu-2"),
                _volume("d", "zone", "cpu-1", key="topology.kubernetes.io/zone"),
                unbound,
            ]
        }
    )

    assert _plugin("filter/cluster.py").volumes_on(listed, "cpu-1") == ["platform/registry"]


def test_a_node_is_ready_when_the_api_server_says_so() -> None:
    items = [
        {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": said}]}}
        for name, said in (("cpu-1", "True"), ("cpu-2", "Unknown"))
    ]

    assert _plugin("filter/cluster.py").nodes_ready(json.dumps({"items": items})) == ["cpu-1"]


def test_networks_are_told_apart_by_family_and_hold_their_addresses() -> None:
    module = _plugin("filter/networks.py")

    assert module.by_family(["192.0.2.0/24", "2001:db8::/64"]) == {
        "ip": ["192.0.2.0/24"],
        "ip6": ["2001:db8::/64"],
    }
    assert module.in_network("192.0.2.7", ["198.51.100.0/24", "192.0.2.0/24"])
    assert not module.in_network("192.0.3.7", ["192.0.2.0/24"])
    with pytest.raises(ValueError, match="host bits"):
        module.by_family(["192.0.2.7/24"])


def test_what_is_no_port_is_told_from_ports() -> None:
    none = ["0", "080", "65536", "-1", "90-80", "80-80", "80-", "80-65536", "http", "80,81", ""]
    told = _plugin("filter/networks.py").no_ports(["1", "65535", "80-90", 22, *none])
    assert told == none
