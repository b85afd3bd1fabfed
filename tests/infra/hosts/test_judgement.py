"""What was seen of a host is judged: well, degraded or broken, with value, rule and remedy."""

import json
from typing import Any

import jsonschema
import pytest

from ci.toolchain import manifest
from infra import places
from infra.hosts import judgement, known_good, validation
from infra.hosts.findings import Finding, Host, Report, State
from infra.refusal import Refusal

KNOWN = known_good.load()
SEEN: dict[str, Any] = {
    "container": False,
    "system": "Debian 12",
    "kernel": "6.1.0-32-amd64",
    "containerd": "Client:\n  Version:  v2.2.0\n\nServer:\n  Version:  v2.2.0\n  UUID: 1",
    "kubelet": "Kubernetes v1.36.0",
    "units": {"containerd.service": "active", "kubelet.service": "active"},
    "certificates": {"/etc/kubernetes/pki/apiserver.crt": 364.9},
    "disks": {"/": {"free_gib": 40.0, "inodes_percent": 90}},
    "gpus": 8,
    "driver": "580.159.03",
    "driver_next": "580.159.03",
    "synchronized": "yes",
    "clock_off": 0.0,
    "registry": "",
    "dns": "",
    "service": "",
    "pods": {"cpu-1": ""},
    "from": "pod",
}
GPU_NODE = {"gpus": 8, "allocatable": 8, "ready": "True"}


def _host(said: dict[str, Any] | None = None, **meant: Any) -> Host:
    report = Report.model_validate(SEEN | (said or {}))
    return Host(name="gpu-1", report=report, **(GPU_NODE | meant))


def _faults(host: Host) -> list[Finding]:
    return [one for one in judgement.judge(host, KNOWN) if one.state is not State.WELL]


def test_a_healthy_gpu_node_is_well_in_every_question() -> None:
    found = judgement.judge(_host(), KNOWN)

    assert {one.state for one in found} == {State.WELL}
    assert {one.check for one in found} >= {
        *("reachable", "versions", "clock", "runtime", "dns", "service", "registry", "node"),
        *("pod on cpu-1", "GPUs of the driver", "GPUs of the scheduler", "unit kubelet.service"),
        *("driver", "driver to come"),
        *("certificate /etc/kubernetes/pki/apiserver.crt", "disk /", "time service"),
    }
    assert {one.remedy for one in found} == {""}


@pytest.mark.parametrize(
    ("said", "check", "state"),
    [
        ({"units": {"kubelet.service": "inactive"}}, "unit kubelet.service", State.BROKEN),
        ({"clock_off": 3.0}, "clock", State.DEGRADED),
        ({"clock_off": 90.0}, "clock", State.BROKEN),
        ({"synchronized": "no"}, "time service", State.DEGRADED),
        ({"certificates": {"/a.crt": 29.0}}, "certificate /a.crt", State.DEGRADED),
        ({"certificates": {"/a.crt": -1.0}}, "certificate /a.crt", State.BROKEN),
        ({"certificates": {"/a.crt": "complaint: no"}}, "certificate /a.crt", State.BROKEN),
        ({"disks": {"/": {"free_gib": 9, "inodes_percent": 50}}}, "disk /", State.DEGRADED),
        ({"disks": {"/": {"free_gib": 1, "inodes_percent": 50}}}, "disk /", State.BROKEN),
        ({"disks": {"/": {"free_gib": 99, "inodes_percent": 1}}}, "disk /", State.BROKEN),
        ({"system": "Debian 11"}, "versions", State.DEGRADED),
        ({"kubelet": "Kubernetes v1.3.0"}, "versions", State.DEGRADED),
        ({"dns": "timed out"}, "dns", State.BROKEN),
        ({"service": "nobody is behind it"}, "service", State.BROKEN),
        ({"registry": "certificate verify failed"}, "registry", State.BROKEN),
        ({"pods": {"cpu-1": "timed out"}}, "pod on cpu-1", State.BROKEN),
        ({"gpus": 7}, "GPUs of the driver", State.BROKEN),
        ({"gpus": "complaint: no driver"}, "GPUs of the driver", State.BROKEN),
        ({"answers": {"model": "connection refused"}}, "model", State.BROKEN),
        ({"image": '{"wanted": "sha256:b", "ready": "sha256:a"}'}, "image", State.DEGRADED),
        ({"image": '{"wanted": "sha256:b", "ready": ""}'}, "image", State.BROKEN),
        ({"image": "complaint: no such file"}, "image", State.BROKEN),
        ({"driver_next": "580.173.02"}, "driver to come", State.DEGRADED),
        ({"driver": "999.1", "driver_next": "999.1"}, "driver", State.DEGRADED),
        ({"driver": "535.309.01", "driver_next": "535.309.01"}, "driver", State.DEGRADED),
        ({"driver": "", "driver_next": ""}, "driver", State.BROKEN),
    ],
)
def test_one_fault_is_one_finding_with_rule_and_remedy(
    said: dict[str, Any], check: str, state: State
) -> None:
    found = _faults(_host(said))

    assert [(one.check, one.state) for one in found] == [(check, state)]
    assert found[0].value
    assert found[0].rule
    assert found[0].remedy.endswith(".")


@pytest.mark.parametrize(
    ("meant", "check"),
    [
        ({"ready": "False"}, "node"),
        ({"ready": ""}, "node"),
        ({"allocatable": 7}, "GPUs of the scheduler"),
    ],
)
def test_what_the_cluster_says_of_a_node_counts(meant: dict[str, Any], check: str) -> None:
    assert [one.check for one in _faults(_host(**meant))] == [check]


def test_a_runtime_that_does_not_answer_is_broken_and_its_version_not_known() -> None:
    found = _faults(_host({"containerd": "complaint: no such file"}))

    assert {one.check: one.state for one in found} == {
        "runtime": State.BROKEN,
        "versions": State.BROKEN,
    }


def test_a_simulated_gpu_needs_no_driver() -> None:
    said = {"gpus": "complaint: no driver", "driver": "", "driver_next": "complaint: none"}

    assert _faults(_host(said, simulated=True)) == []


@pytest.mark.parametrize(
    ("parts", "faults"),
    [(8 * ["1g.10gb"], []), (7 * ["1g.10gb"], ["parts of GPUs"]), ([], ["parts of GPUs"])],
    ids=["as asked", "one less", "none"],
)
def test_the_parts_of_divided_gpus_are_counted(parts: list[str], faults: list[str]) -> None:
    host = _host({"gpus": 2, "parts": parts}, mig="1g.10gb")

    assert [one.check for one in _faults(host)] == faults


def test_the_clock_of_a_container_needs_no_time_service() -> None:
    assert _faults(_host({"container": True, "synchronized": "no"})) == []


def test_an_edge_host_whose_wanted_image_answers_is_well() -> None:
    said = {"answers": {"model": ""}, "image": '{"wanted": "sha256:a", "ready": "sha256:a"}'}

    assert _faults(_host(said)) == []


def test_a_host_that_is_no_node_is_not_asked_for_kubernetes() -> None:
    said = {"kubelet": "complaint: none", "containerd": "complaint: none", "units": {}}

    assert _faults(_host(said, node=False, ready="")) == []


def test_an_unreachable_host_is_broken_with_what_was_said() -> None:
    found = judgement.judge(Host(name="far-1", unreachable="connection refused"), KNOWN)

    assert [(one.check, one.state, one.value) for one in found] == [
        ("reachable", State.BROKEN, "connection refused")
    ]


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    hosts = [_host(), _host({"clock_off": 3.0}), Host(name="far-1", unreachable="gone")]

    assert [validation.document("x", hosts[:number], KNOWN, 0)["state"] for number in range(4)] == [
        "broken",
        "well",
        "degraded",
        "broken",
    ]


def test_the_document_is_as_its_schema_says_and_its_table_names_each_fault() -> None:
    document = validation.document("x", [_host({"clock_off": 3.0})], KNOWN, 0)
    schema = json.loads((places.REPOSITORY / "ci/schemas/validate.json").read_text())

    jsonschema.validate(document, schema)
    table = "\n".join(validation.table(document))
    assert "DEGRADED  gpu-1        clock: 3 s off" in table
    assert "remedy: Repair its time service." in table
    assert table.endswith("x is degraded")


def test_what_the_repository_installs_is_known_to_be_good() -> None:
    families = manifest.load().family
    kubernetes, containerd = families["kubernetes"].version, families["containerd"].version

    said = {
        "kubelet": f"Kubernetes v{kubernetes}",
        "containerd": f"Server:\n  Version:  v{containerd}",
    }
    assert _faults(_host(said)) == []


def test_a_table_with_an_unknown_key_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "known-good.yml"
    path.write_text(known_good.PATH.read_text() + "limit: {}\n")

    with pytest.raises(Refusal, match="limit"):
        known_good.load(path)


def test_a_node_asks_one_pod_on_each_other_node_that_has_a_network_of_its_own() -> None:
    listed = "\n".join(
        [
            "gpu-1|10.0.1.2||8080",
            "cpu-1|192.0.2.1|true|9100",
            "cpu-1|10.0.2.2||",
            "cpu-1|10.0.2.3||80",
            "cpu-2|||80",
        ]
    )

    assert validation.peers(listed, "gpu-1") == {"cpu-1": "10.0.2.2:1"}


def test_nodes_are_read_from_what_kubectl_prints_and_are_none_when_it_complains() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "False"}],
        "allocatable": {"nvidia.com/gpu": "2"},
    }
    listed = json.dumps({"items": [{"metadata": {"name": "gpu-1"}, "status": status}]})

    assert validation.nodes(listed) == {"gpu-1": {"ready": "False", "gpus": 2}}
    assert validation.nodes("The connection to the server was refused") == {}
