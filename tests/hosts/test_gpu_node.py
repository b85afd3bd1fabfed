"""MIG, the container toolkit and the health of GPUs, with defaults and with other inputs.

GPU and driver of the machines are simulated.

nvidia-smi, nvidia-ctk and kubectl are simulated programs, too; systemd, apt, the units and all that
the roles write are real.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from testinfra.host import Host

from infra.environment import Environment
from tests.hosts import gpu_programs, gpus, machines, outcomes
from tests.hosts.gpu_checks import CHECKS
from tests.hosts.gpu_programs import SMI, STATE
from tests.hosts.gpus import THERE, Simulated

pytestmark = pytest.mark.scenarios
ROLES = ["package_sources", "nvidia_mig", "nvidia_container_toolkit", "gpu_health"]
DRIVER = "535.309.01"
PROFILE, OTHER = "3g.20gb", "7g.40gb"
NODE = {"metadata": {"name": "gpu-1"}, "spec": {"unschedulable": True}}
POD = {
    "metadata": {"name": "chat", "namespace": "models"},
    "spec": {"nodeName": "gpu-1"},
    "status": {"phase": "Running"},
}
"""A host that has it is a node: that of the default scenario."""
FALLEN = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus."


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with its container, inputs and what runs said: a rehearsal, a run, a second run."""

    name: str
    host: Host
    simulated: Simulated
    folder: Path
    inputs: dict[str, Any]
    said: list[str]
    failed: set[str]
    """Roles whose check failed before anything ran."""

    def play(self, *roles: str, rehearse: bool = False, **more: Any) -> tuple[int, str]:
        """Run some of the roles with other inputs, or rehearse that."""
        arguments = ["--check", "--diff"] if rehearse else []
        return gpus.play(self.folder, self.name, list(roles), self.inputs | more, *arguments)


SCENARIOS: dict[str, dict[str, Any]] = {
    "default": {"nvidia_mig_profile": PROFILE, "gpu_health_metrics": STATE},
    "alternative": {
        "nvidia_mig_profile": "",
        "nvidia_container_toolkit_version": "1.18.1",
        "gpu_health_interval": 20,
        "gpu_health_uncorrected": 5,
        "gpu_health_metrics": "/srv/series",
    },
}


@pytest.fixture(scope="module")
def machines_of(
    env: Environment, engine_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Machine]]:
    """A machine of each scenario, after a rehearsal and two runs."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Machine] = {}
        for scenario in SCENARIOS:
            folder = tmp_path_factory.mktemp(scenario)
            found[scenario] = stack.enter_context(_made(env, engine_client, folder, scenario))
        yield found


@contextlib.contextmanager
def _made(
    env: Environment, client: docker.DockerClient, folder: Path, scenario: str
) -> Iterator[Machine]:
    simulated = Simulated(folder=folder / "machine")
    simulated.gpu()
    simulated.runs(DRIVER)
    simulated.write("nvidia-smi", gpu_programs.NVIDIA_SMI)
    simulated.write("kubectl", gpus.kubectl(NODE))
    gpu_programs.toolkit(simulated.folder / "archive")
    source = {"name": "simulated", "uris": [f"file:{THERE}/archive"], "suites": ["./"]}
    inputs = SCENARIOS[scenario] | {
        "package_sources_list": [source | {"key": str(simulated.folder / "archive.asc")}],
        "nvidia_mig_kubernetes": "1.36.3",
        "nvidia_mig_control_plane": "gpu-1",
        "gpu_health_node": "",
        "__nvidia_mig_root": THERE,
        "__nvidia_mig_smi": SMI,
        "__nvidia_container_toolkit_root": THERE,
        "__gpu_health_root": THERE,
        "__gpu_health_smi": SMI,
        "__gpu_health_journal": ["journalctl", "--identifier=simulated-kernel"],
    }
    name = f"modelyard-test-gpu-{scenario}"
    with machines.bare(client, env, name, volumes=gpus.mounts(simulated)) as host:
        outcomes.said(host, f"mkdir -p {STATE} {inputs['gpu_health_metrics']}")
        outcomes.said(host, f"ln -s {THERE}/kubectl /usr/local/bin/kubectl")
        # The archives that the machine had cannot be reached from here.
        outcomes.said(host, "rm /etc/apt/sources.list")
        if scenario == "default":
            outcomes.said(host, f"mkdir -p /etc/kubernetes; touch {gpus.JOINED}")
        failed = {role for role, check in CHECKS.items() if machines.fails(check, host, inputs)}
        runs = machines.thrice(partial(gpus.play, folder, name, ROLES, inputs))
        yield Machine(
            name=name, host=host, simulated=simulated, folder=folder, inputs=inputs, said=runs,
            failed=failed,
        )  # fmt: skip


@pytest.fixture
def machine(machines_of: dict[str, Machine]) -> Machine:
    """The one of the default scenario."""
    return machines_of["default"]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("role", CHECKS)
def test_the_check_of_a_role_failed_before_it_ran(
    machines_of: dict[str, Machine], role: str, scenario: str
) -> None:
    assert role in machines_of[scenario].failed


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("role", CHECKS)
def test_a_machine_is_as_its_role_promises(
    machines_of: dict[str, Machine], role: str, scenario: str
) -> None:
    CHECKS[role](machines_of[scenario].host, machines_of[scenario].inputs)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_second_run_over_a_gpu_machine_changes_nothing(
    machines_of: dict[str, Machine], scenario: str
) -> None:
    _, first, second = machines_of[scenario].said
    assert "changed=0 " not in first
    assert "changed=0 " in second


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_rehearsal_on_a_fresh_machine_names_what_a_run_then_changes(
    machines_of: dict[str, Machine], scenario: str
) -> None:
    rehearsed, first, _ = machines_of[scenario].said
    divided = "nvidia_mig : divide | Divide the GPUs" in gpus.changes(first)
    assert divided is bool(SCENARIOS[scenario]["nvidia_mig_profile"])
    assert gpus.changes(rehearsed) == gpus.changes(first)


def test_a_rehearsal_of_another_profile_names_what_a_run_then_changes(machine: Machine) -> None:
    rehearsed = machine.play(*ROLES, rehearse=True, nvidia_mig_profile=OTHER)
    untouched = outcomes.said(machine.host, f"{SMI} -L")
    played = machine.play(*ROLES, nvidia_mig_profile=OTHER)
    divided = outcomes.said(machine.host, f"{SMI} -L")
    back = machine.play(*ROLES)

    assert [rehearsed[0], played[0], back[0]] == [0, 0, 0], rehearsed[1] + played[1] + back[1]
    assert untouched.count(f"MIG {PROFILE}") == 2
    assert divided.count(f"MIG {OTHER}") == 1
    assert gpus.changes(played[1]) == {
        "nvidia_mig : configure | Write how GPUs are divided",
        "nvidia_mig : divide | Divide the GPUs",
    }
    assert gpus.changes(rehearsed[1]) == gpus.changes(played[1])


def test_a_rehearsal_that_comes_before_any_driver_names_the_division(
    machines_of: dict[str, Machine],
) -> None:
    machine = machines_of["alternative"]
    machine.simulated.remove("sys/module/nvidia/version")
    try:
        rehearsed = machine.play("nvidia_mig", rehearse=True, nvidia_mig_profile=OTHER)
        played = machine.play("nvidia_mig", nvidia_mig_profile=OTHER)
    finally:
        machine.simulated.runs(DRIVER)

    assert rehearsed[0] == 0, rehearsed[1]
    assert "nvidia_mig : divide | Divide the GPUs" in gpus.changes(rehearsed[1])
    assert played[0] == 2
    assert "no driver of NVIDIA runs on the host" in played[1]
    assert "changed=0 " in played[1]


def test_as_many_memory_errors_are_borne_as_were_allowed(machines_of: dict[str, Machine]) -> None:
    host = machines_of["alternative"].host
    looks = {}
    for count in (5, 6):
        outcomes.said(host, f"echo {count} > {STATE}/errors")
        looks[count] = outcomes.said(host, "modelyard-gpu-health --look")
    outcomes.said(host, f"rm {STATE}/errors")

    assert looks[5] == ""
    assert looks[6].startswith("fault: 0000:3b:00: 6 uncorrected memory errors")


def test_gpus_are_divided_again_at_boot(machine: Machine) -> None:
    outcomes.said(machine.host, f"truncate --size 0 {STATE}/parts; echo Disabled > {STATE}/mode")
    outcomes.said(machine.host, "systemctl restart modelyard-mig.service")

    assert outcomes.said(machine.host, f"{SMI} -L").count(f"MIG {PROFILE}") == 2


@pytest.mark.parametrize("rehearse", [True, False])
def test_gpus_are_not_divided_under_pods(machine: Machine, rehearse: bool) -> None:
    written = "cd /etc; cat modelyard/mig.json systemd/system/modelyard-mig.service"
    before = outcomes.said(machine.host, written)
    machine.simulated.write("kubectl", gpus.kubectl(NODE, POD))
    try:
        code, said = machine.play("nvidia_mig", rehearse=rehearse, nvidia_mig_profile=OTHER)
    finally:
        machine.simulated.write("kubectl", gpus.kubectl(NODE))

    assert code == 2
    assert f"MIG profile {OTHER} asks for a drained node" in said
    assert "changed=0 " in said
    assert outcomes.said(machine.host, written) == before
    outcomes.said(machine.host, "systemctl restart modelyard-mig.service")
    assert outcomes.said(machine.host, f"{SMI} -L").count(f"MIG {PROFILE}") == 2


def test_gpus_of_a_host_that_has_not_joined_are_divided_before_there_is_a_cluster(
    machines_of: dict[str, Machine],
) -> None:
    machine = machines_of["alternative"]
    machine.simulated.write("kubectl", "#!/bin/sh\n# Simulated.\nexit 1\n")
    try:
        code, said = machine.play("nvidia_mig", nvidia_mig_profile=OTHER)
        divided = outcomes.said(machine.host, f"{SMI} -L")
        machine.play("nvidia_mig")
    finally:
        machine.simulated.write("kubectl", gpus.kubectl(NODE))

    assert code == 0, said
    assert divided.count(f"MIG {OTHER}") == 1
    assert "MIG" not in outcomes.said(machine.host, f"{SMI} -L")


def test_a_profile_that_the_gpu_does_not_know_is_refused(machine: Machine) -> None:
    code, said = machine.play("nvidia_mig", nvidia_mig_profile="1g.99gb")

    assert code == 2
    assert "have the profiles 1g.5gb" in said
    assert "changed=0 " in said


def test_a_toolkit_that_no_archive_offers_is_refused(machine: Machine) -> None:
    code, said = machine.play("nvidia_container_toolkit", nvidia_container_toolkit_version="1.99.0")

    assert code == 2
    assert "no source of apt has nvidia-container-toolkit 1.99.0-*" in said
    assert "changed=0 " in said


def test_a_fault_in_the_kernels_log_is_told_until_it_is_forgotten(machine: Machine) -> None:
    host = machine.host
    outcomes.said(host, f"echo '{FALLEN}' | systemd-cat --identifier simulated-kernel")
    outcomes.said(host, "journalctl --sync")

    outcomes.said(host, "systemctl start modelyard-gpu-health.service")

    assert "XID 79" in outcomes.said(host, "modelyard-gpu-health --look")
    series = outcomes.said(host, f"cat {STATE}/modelyard_gpu.prom")
    assert "modelyard_gpu_faults 1" in series
    outcomes.said(host, "sleep 1; modelyard-gpu-health --forget")
    assert outcomes.said(host, "modelyard-gpu-health --look") == ""


def test_uncorrected_memory_errors_are_told(machine: Machine) -> None:
    outcomes.said(machine.host, f"echo 3 > {STATE}/errors")
    try:
        said = outcomes.said(machine.host, "modelyard-gpu-health --look")
    finally:
        outcomes.said(machine.host, f"rm {STATE}/errors")

    assert said.startswith("fault: 0000:3b:00: 3 uncorrected memory errors")
