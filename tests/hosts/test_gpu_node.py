"""MIG, the container toolkit and the health of GPUs; GPU and driver of the machine are simulated.

nvidia-smi, nvidia-ctk and kubectl are simulated programs; systemd, apt, the units and all that the
roles write are real.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from testinfra.host import Host

from infra.environment import Environment
from tests.hosts import gpus, machines, outcomes, packages
from tests.hosts.gpus import THERE, Simulated

pytestmark = pytest.mark.scenarios
ROLES = ["package_sources", "nvidia_mig", "nvidia_container_toolkit", "gpu_health"]
SMI = f"{THERE}/nvidia-smi"
STATE = "/var/lib/simulated"
NODE = {"metadata": {"name": "gpu-1"}, "spec": {"unschedulable": True}}
POD = {
    "metadata": {"name": "chat", "namespace": "models"},
    "spec": {"nodeName": "gpu-1"},
    "status": {"phase": "Running"},
}
# Keeps in files whether MIG is on and which parts there are, and refuses as the driver does.
SIMULATED_SMI = f"""#!/bin/sh
# Simulated: one A100.
mkdir -p {STATE}; cd {STATE}; touch parts
case "$*" in
*query-gpu=index,mig*) echo "0, $(cat mode 2>/dev/null || echo Disabled)" ;;
*query-gpu=pci*) echo "00000000:3B:00.0, $(cat errors 2>/dev/null || echo 0), No" ;;
*query-remapped*) echo "00000000:3B:00.0, No, No" ;;
-L) echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-simulated)"
    while read -r part; do echo "  MIG $part     Device  0: (UUID: MIG-simulated)"; done < parts ;;
"-i 0 -mig 1") echo Enabled > mode ;;
"-i 0 -mig 0") [ ! -s parts ] || exit 19; echo Disabled > mode ;;
*-dci|*-dgi) : > parts ;;
"mig -i 0 -cgi "*) [ "$(cat mode)" = Enabled ] || exit 3; echo "$5" | tr , '\\n' > parts ;;
*) exit 2 ;;
esac
"""
CTK = """#!/bin/sh
# Simulated.
file=/etc/nvidia-container-runtime/config.toml
case "$*" in
config) cat $file ;;
"config --in-place --set nvidia-container-runtime.mode=cdi")
    sed -i 's/mode = .*/mode = "cdi"/' $file ;;
"cdi list") echo nvidia.com/gpu=all ;;
"cdi generate") echo generated >> /var/lib/simulated-cdi ;;
*) exit 2 ;;
esac
"""
REFRESH = (
    "[Service]\nType=oneshot\nExecCondition=/bin/false\nRemainAfterExit=yes\n"
    "ExecStart=/usr/bin/nvidia-ctk cdi generate\n[Install]\nWantedBy=multi-user.target\n"
)
WATCH = "[Path]\nPathChanged=/usr/bin/nvidia-ctk\n[Install]\nWantedBy=multi-user.target\n"
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

    def play(self, *roles: str, **more: Any) -> tuple[int, str]:
        """Run some of the roles with other inputs."""
        return gpus.play(self.folder, self.name, list(roles), self.inputs | more)


def toolkit(folder: Path) -> None:
    """A signed archive with a simulated toolkit in it."""
    units = "lib/systemd/system/nvidia-cdi-refresh"
    files = {
        "usr/bin/nvidia-ctk": CTK,
        "etc/nvidia-container-runtime/config.toml": '[nvidia-container-runtime]\nmode = "auto"\n',
        f"{units}.service": REFRESH,
        f"{units}.path": WATCH,
    }
    folder.mkdir()
    made = packages.package(folder, "nvidia-container-toolkit", "1.19.0-1~simulated", files)
    packages.archive(folder, folder.parent / "archive.asc", made)


def check(host: Host) -> None:
    """What the roles promise."""
    assert outcomes.said(host, f"{SMI} -L").count("MIG 3g.20gb") == 2
    assert host.service("modelyard-mig.service").is_enabled
    assert 'mode = "cdi"' in outcomes.said(host, "nvidia-ctk config")
    assert host.service("nvidia-cdi-refresh.path").is_running
    assert "nvidia-cdi-refresh.service" in outcomes.said(
        host, "systemctl list-unit-files --state=enabled"
    )
    assert host.service("modelyard-gpu-health.timer").is_running
    assert host.service("modelyard-gpu-health.timer").is_enabled
    outcomes.said(host, "modelyard-gpu-health --look")
    policy = outcomes.said(host, "apt-cache policy nvidia-container-toolkit")
    assert "Installed: 1.19.0-1~simulated" in policy


@pytest.fixture(scope="module")
def machine(
    env: Environment, engine_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("node")
    simulated = Simulated(folder=folder / "machine")
    simulated.gpu()
    simulated.runs("535.309.01")
    simulated.write("nvidia-smi", SIMULATED_SMI)
    simulated.write("kubectl", gpus.kubectl(NODE))
    toolkit(simulated.folder / "archive")
    source = {"name": "simulated", "uris": [f"file:{THERE}/archive"], "suites": ["./"]}
    inputs = {
        "package_sources_list": [source | {"key": str(simulated.folder / "archive.asc")}],
        "nvidia_mig_profile": "3g.20gb",
        "nvidia_mig_kubernetes": "1.36.3",
        "nvidia_mig_control_plane": "gpu-1",
        "gpu_health_node": "",
        "gpu_health_metrics": STATE,
        "__nvidia_mig_root": THERE,
        "__nvidia_mig_smi": SMI,
        "__nvidia_container_toolkit_root": THERE,
        "__gpu_health_root": THERE,
        "__gpu_health_smi": SMI,
        "__gpu_health_journal": ["journalctl", "--identifier=simulated-kernel"],
    }
    name = "modelyard-test-gpu-node"
    with machines.bare(engine_client, env, name, volumes=gpus.mounts(simulated)) as host:
        outcomes.said(host, f"mkdir -p {STATE}; ln -s {THERE}/kubectl /usr/local/bin/kubectl")
        # The archives that the machine had cannot be reached from here.
        outcomes.said(host, "rm /etc/apt/sources.list")
        with pytest.raises(AssertionError):
            check(host)  # it can fail: here nothing has run yet
        runs = machines.thrice(partial(gpus.play, folder, name, ROLES, inputs))
        yield Machine(
            name=name, host=host, simulated=simulated, folder=folder, inputs=inputs, said=runs
        )


def test_a_machine_has_its_parts_its_devices_and_its_check(machine: Machine) -> None:
    check(machine.host)


def test_a_second_run_over_a_gpu_machine_changes_nothing(machine: Machine) -> None:
    rehearsed, first, second = machine.said
    assert "changed=0 " not in rehearsed
    assert "changed=0 " not in first
    assert "changed=0 " in second


def test_gpus_are_divided_again_at_boot(machine: Machine) -> None:
    outcomes.said(machine.host, f"truncate --size 0 {STATE}/parts; echo Disabled > {STATE}/mode")
    outcomes.said(machine.host, "systemctl restart modelyard-mig.service")

    assert outcomes.said(machine.host, f"{SMI} -L").count("MIG 3g.20gb") == 2


def test_gpus_are_not_divided_under_pods(machine: Machine) -> None:
    machine.simulated.write("kubectl", gpus.kubectl(NODE, POD))
    try:
        code, said = machine.play("nvidia_mig", nvidia_mig_profile="7g.40gb")
    finally:
        machine.simulated.write("kubectl", gpus.kubectl(NODE))

    assert code == 2
    assert "MIG profile 7g.40gb asks for a drained node" in said
    assert outcomes.said(machine.host, f"{SMI} -L").count("MIG 3g.20gb") == 2


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
