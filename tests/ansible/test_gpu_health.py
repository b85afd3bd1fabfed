"""What modelyard-gpu-health judges: lines and tables as others recorded them."""

import importlib.machinery
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.ansible.command import ANSIBLE

FILES = ANSIBLE / "roles" / "gpu_health" / "files"
TABLE = json.loads((FILES / "gpu-faults.json").read_text())
FALLEN = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus."
RESET = (
    "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 "
    "(GPU Reset Required)"
)
WELL = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"  # noqa: E501
MMU = "NVRM: Xid (PCI:0000:af:00): 31, pid=4242, name=python, Ch 00000008, MMU Fault"
OLD = "NVRM: Xid (0000:af:00): 48, pid='<unknown>', name=<unknown>, DBE"
GPU = "0000:3b:00"


def script(role: str, name: str) -> ModuleType:
    """A program that a role copies to hosts."""
    path = str(ANSIBLE / "roles" / role / "files" / name)
    loader = importlib.machinery.SourceFileLoader("program", path)
    specification = importlib.util.spec_from_loader("program", loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def health() -> ModuleType:
    return script("gpu_health", "modelyard-gpu-health")


def test_an_xid_that_the_table_names_is_a_fault_of_its_gpu_once(health: ModuleType) -> None:
    found = health.of_log([FALLEN, "usb 1-1: new device", MMU, FALLEN], TABLE["xids"])

    assert list(found) == [GPU]
    assert len(found[GPU]) == 1
    assert found[GPU][0].startswith("XID 79, the GPU has fallen off the bus: ")


def test_a_recovery_that_the_driver_asks_for_counts_and_its_end_does_not(
    health: ModuleType,
) -> None:
    assert GPU in health.of_log([RESET], TABLE["xids"])
    assert health.of_log([WELL], TABLE["xids"]) == {}


def test_lines_of_older_drivers_are_read(health: ModuleType) -> None:
    assert list(health.of_log([OLD], TABLE["xids"])) == ["0000:af:00"]


def test_the_table_has_a_source_a_date_and_a_remedy_for_each_fault() -> None:
    assert TABLE["source"]
    assert TABLE["date"].startswith("2026-")
    for number, fault in TABLE["xids"].items():
        assert int(number) > 0
        assert set(fault) <= {"what", "do", "when"}
        assert fault["do"]


def test_uncorrected_errors_and_rows_that_could_not_be_replaced_are_faults(
    health: ModuleType,
) -> None:
    ecc = "00000000:3B:00.0, 2, No\n00000000:AF:00.0, 0, [N/A]\n"
    rows = "00000000:3B:00.0, No, No\n00000000:AF:00.0, No, Yes\n"

    faults, warnings = health.of_memory(ecc, rows, 0)

    assert faults[GPU] == ["2 uncorrected memory errors: reset the GPU"]
    assert "replace the GPU" in faults["0000:af:00"][0]
    assert warnings == {}


def test_what_waits_for_the_next_reset_is_a_warning(health: ModuleType) -> None:
    faults, warnings = health.of_memory(f"{GPU}.0, 0, Yes\n", f"{GPU}.0, Yes, No\n", 0)

    assert faults == {}
    assert len(warnings[GPU]) == 2


def test_a_gpu_without_ecc_has_no_errors(health: ModuleType) -> None:
    ecc = "00000000:3B:00.0, [N/A], [N/A]\n"

    assert health.of_memory(ecc, "", 0) == ({}, {})


def test_a_team_may_allow_some_errors(health: ModuleType) -> None:
    assert health.of_memory(f"{GPU}.0, 2, No\n", "", 2) == ({}, {})


@pytest.mark.parametrize("smi", ["/nonexistent/nvidia-smi", "/etc/passwd", "/bin/false"])
def test_gpus_that_cannot_be_asked_are_a_fault_of_the_driver_that_is_loaded(
    health: ModuleType, tmp_path: Path, smi: str
) -> None:
    health.FAULTS = FILES / "gpu-faults.json"  # type: ignore[attr-defined]
    journal = [sys.executable, "-c", f"print({FALLEN!r})"]
    settings = {"journal": journal, "driver": str(tmp_path), "nvidia_smi": smi, "uncorrected": 0}

    faults, warnings = health.look(settings)

    assert faults["driver"][0].startswith("nvidia-smi gave no answer: ")
    assert smi in faults["driver"][0]
    assert list(faults) == [GPU, "driver"]
    assert warnings == {}


def _node(off: bool = False, **notes: str) -> dict[str, Any]:
    annotations = {f"modelyard.dev/{key.replace('_', '-')}": text for key, text in notes.items()}
    spec = {"unschedulable": True} if off else {}
    return {"metadata": {"annotations": annotations}, "spec": spec}


FAULTS = {GPU: ["XID 79, gone: look"]}
SAYS = "0000:3b:00 XID 79, gone: look"


def test_a_fault_cordons_the_node_with_its_reason(health: ModuleType) -> None:
    assert health.change(_node(), FAULTS, False) == {
        "metadata": {
            "annotations": {
                "modelyard.dev/gpu-faults": SAYS,
                "modelyard.dev/cordoned-by": "gpu-health",
            }
        },
        "spec": {"unschedulable": True},
    }


def test_a_node_that_says_its_faults_is_left_alone(health: ModuleType) -> None:
    node = _node(True, gpu_faults=SAYS, cordoned_by="gpu-health")

    assert health.change(node, FAULTS, True) is None


def test_a_node_that_a_person_cordoned_stays_theirs(health: ModuleType) -> None:
    patch = health.change(_node(True), FAULTS, True)

    assert patch["metadata"]["annotations"] == {"modelyard.dev/gpu-faults": SAYS}
    assert health.change(_node(True), {}, True) is None


def test_a_node_comes_back_only_where_that_is_asked_for(health: ModuleType) -> None:
    node = _node(True, gpu_faults=SAYS, cordoned_by="gpu-health")

    assert health.change(node, {}, False) is None
    assert health.change(node, {}, True)["spec"] == {"unschedulable": None}


def test_metrics_name_each_fault(health: ModuleType) -> None:
    text = health.metrics(FAULTS, {}, 1700000000.4)

    assert "modelyard_gpu_faults 1\n" in text
    assert 'modelyard_gpu_fault{gpu="0000:3b:00",what="XID 79, gone: look"} 1\n' in text
    assert "modelyard_gpu_looked_at 1700000000\n" in text
