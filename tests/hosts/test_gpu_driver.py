"""The role nvidia_driver with Debian's real packages; GPU and kernel of the machine are simulated.

Packages are installed for good; no kernel loads the driver here, because no machine has a GPU.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from testinfra.host import Host

from infra.environment import Environment
from tests.hosts import gpus, machines, outcomes
from tests.hosts.gpus import THERE, Simulated

pytestmark = pytest.mark.scenarios
ROLES = ["package_sources", "nvidia_driver"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SHARED = {
    "nvidia_driver_kubernetes": "",
    "nvidia_driver_control_plane": "",
    "__nvidia_driver_root": THERE,
}
SCENARIOS: dict[str, dict[str, Any]] = {
    "default": {"nvidia_driver_version": "535.261.03", "nvidia_driver_modules": "open"},
    "alternative": {
        "nvidia_driver_version": "535.309.01",
        "nvidia_driver_modules": "proprietary",
        "nvidia_driver_packages": ["dkms", "kmod"],
    },
}
PACKAGE = {"open": "nvidia-open-kernel-dkms", "proprietary": "nvidia-kernel-dkms"}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with its container, inputs and what runs said: a rehearsal, a run, a second run."""

    scenario: str
    name: str
    host: Host
    simulated: Simulated
    folder: Path
    inputs: dict[str, Any]
    said: list[str]
    failed: bool
    """Whether the check failed when nothing had run yet."""

    def play(self, *arguments: str, **more: Any) -> tuple[int, str]:
        """Run the roles with other inputs."""
        return gpus.play(self.folder, self.name, ROLES, self.inputs | more, *arguments)


def sources(host: Host) -> list[dict[str, Any]]:
    """The archives that the machine has, with the components that it lacks."""
    lines = [line.split() for line in outcomes.said(host, "cat /etc/apt/sources.list").splitlines()]
    return [
        {
            "name": suite,
            "uris": [address],
            "suites": [suite],
            "components": ["contrib", "non-free", "non-free-firmware"],
            "keyring": KEYRING,
        }
        for kind, address, suite, *_ in lines
        if kind == "deb"
    ]


def key_pair(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate (DER) that modules could be signed with."""
    key, certificate = folder / "modules.key", folder / "modules.der"
    command = ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-outform", "DER"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        [*command, "-subj", "/CN=modelyard test/", *files], check=True, capture_output=True
    )
    return key, certificate


def check(host: Host, inputs: dict[str, Any]) -> None:
    """What the role promises, as far as a container can keep it."""
    version, package = inputs["nvidia_driver_version"], PACKAGE[inputs["nvidia_driver_modules"]]
    for name in (package, "nvidia-smi", "libcuda1", "firmware-nvidia-gsp", "libnvidia-ml1"):
        installed = outcomes.said(host, f"dpkg-query --show --showformat='${{Version}}' {name}")
        assert installed.startswith(f"{version}-"), name
    assert "blacklist nouveau" in outcomes.said(host, "modprobe --showconfig")
    candidates = outcomes.said(host, f"apt-cache policy {package}")
    assert f"Candidate: {version}-" in candidates
    assert host.file(
        f"/usr/src/nvidia-current{'-open' if 'open' in package else ''}-{version}"
    ).exists
    if "nvidia_driver_signing_key" in inputs:
        key = host.file("/etc/modelyard/modules.key")
        assert (key.mode, key.user) == (0o600, "root")
        settings = outcomes.configured(host, "/etc/dkms/framework.conf.d/modelyard.conf")
        assert 'mok_signing_key="/etc/modelyard/modules.key"' in settings


@pytest.fixture(scope="module", params=SCENARIOS)
def machine(
    request: pytest.FixtureRequest,
    env: Environment,
    engine_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("driver")
    simulated = Simulated(folder=folder / "machine")
    simulated.gpu()
    inputs = SHARED | SCENARIOS[request.param]
    if request.param == "alternative":
        key, certificate = key_pair(folder)
        simulated.secure_boot(b"another", certificate.read_bytes())
        inputs |= {
            "nvidia_driver_signing_key": str(key),
            "nvidia_driver_signing_certificate": str(certificate),
        }
    name = f"modelyard-test-driver-{request.param}"
    with machines.bare(
        engine_client, env, name, network_mode="bridge", volumes=gpus.mounts(simulated)
    ) as host:
        inputs |= {"package_sources_list": sources(host)}
        failed = machines.fails(check, host, inputs)
        runs = machines.thrice(partial(gpus.play, folder, name, ROLES, inputs))
        yield Machine(
            scenario=request.param, name=name, host=host, simulated=simulated,
            folder=folder, inputs=inputs, said=runs, failed=failed,
        )  # fmt: skip


def test_the_check_failed_before_the_driver_was_installed(machine: Machine) -> None:
    assert machine.failed


def test_debians_driver_is_installed_at_its_version_and_held_there(machine: Machine) -> None:
    check(machine.host, machine.inputs)


def test_a_second_run_of_the_driver_changes_nothing(machine: Machine) -> None:
    _, first, second = machine.said
    assert "changed=0 " not in first
    assert "changed=0 " in second


def test_a_rehearsal_names_what_a_run_then_changes(machine: Machine) -> None:
    rehearsed, first, _ = machine.said
    assert "nvidia_driver : install | Install the driver" in gpus.changes(first)
    assert gpus.changes(rehearsed) == gpus.changes(first)


def test_what_waits_for_a_restart_is_said_and_nothing_is_restarted(machine: Machine) -> None:
    version = machine.inputs["nvidia_driver_version"]
    assert f"driver {version} is installed and waits for a restart" in machine.said[2]
    assert machine.host.run("systemctl is-system-running").stdout.strip() in ("running", "degraded")


def test_modules_that_secure_boot_would_not_load_are_refused(machine: Machine) -> None:
    if machine.scenario != "alternative":
        pytest.skip("secure boot is off there")
    code, said = machine.play(nvidia_driver_signing_key="", nvidia_driver_signing_certificate="")
    assert code == 2
    assert "secure boot is on, and the kernel would load no module that is not signed" in said

    other = machine.folder / "other"
    other.mkdir()
    key, certificate = key_pair(other)
    code, said = machine.play(
        nvidia_driver_signing_key=str(key), nvidia_driver_signing_certificate=str(certificate)
    )
    assert code == 2
    assert "none of those that the machine's owner enrolled" in said
    assert "changed=0 " in said


@contextmanager
def cluster(machine: Machine, kubectl: str) -> Iterator[dict[str, str]]:
    """The machine with a simulated kubectl; inputs that make it a node."""
    there = "/usr/local/bin/kubectl"
    machine.simulated.write("kubectl", kubectl)
    assert machine.host.run(f"ln -sf {THERE}/kubectl {there}").rc == 0
    try:
        yield {"nvidia_driver_kubernetes": "1.36.3", "nvidia_driver_control_plane": "gpu-1"}
    finally:
        assert machine.host.run(f"rm {there}").rc == 0


@pytest.mark.parametrize(("module", "driver"), [("nvidia", "525.85.12"), ("nouveau", "nouveau")])
def test_a_driver_is_not_changed_under_pods(machine: Machine, module: str, driver: str) -> None:
    pod = {
        "metadata": {"name": "chat", "namespace": "models"},
        "spec": {"nodeName": "gpu-1"},
        "status": {"phase": "Running"},
    }
    node = {"metadata": {"name": "gpu-1"}, "spec": {"unschedulable": True}}
    outcomes.said(machine.host, f"install -D /dev/null {gpus.JOINED}")
    machine.simulated.write(f"sys/module/{module}/version", f"{driver}\n")
    try:
        with cluster(machine, gpus.kubectl(node, pod)) as inputs:
            code, said = machine.play(**inputs, nvidia_driver_restart=True)
    finally:
        machine.simulated.remove(f"sys/module/{module}/version")
        (machine.simulated.folder / f"sys/module/{module}").rmdir()
        outcomes.said(machine.host, f"rm {gpus.JOINED}")

    assert code == 2
    assert f"in place of {driver} asks for a drained node" in said
    assert "models/chat" in said
    assert "changed=0 " in said


def test_a_host_that_has_not_joined_asks_no_cluster_about_its_pods(machine: Machine) -> None:
    machine.simulated.runs("525.85.12")
    try:
        with cluster(machine, "#!/bin/sh\n# Simulated: there is none yet.\nexit 1\n") as inputs:
            code, said = machine.play(**inputs)
    finally:
        machine.simulated.remove("sys/module/nvidia/version")

    assert code == 0, said
    assert "is installed and waits for a restart; 525.85.12 drives the GPUs now" in said


def test_a_driver_that_no_archive_offers_is_refused(machine: Machine) -> None:
    code, said = machine.play(
        nvidia_driver_version="580.159.03",
        nvidia_driver_modules="open",
        nvidia_driver_kubernetes="",
    )

    assert code == 2
    assert "no source of apt has nvidia-kernel-open-dkms 580.159.03-*" in said
    assert "changed=0 " in said


def test_dkms_builds_and_signs_the_modules_for_debians_kernel(machine: Machine) -> None:
    if machine.scenario != "alternative":
        pytest.skip("one build is proof enough, and open modules take thrice as long")
    host = machine.host
    outcomes.said(host, "apt-get install --yes --no-install-recommends linux-headers-amd64 kmod")
    kernel = outcomes.said(host, "basename /lib/modules/*-amd64").strip()
    version = machine.inputs["nvidia_driver_version"]
    outcomes.said(host, f"dkms install nvidia-current/{version} -k {kernel} --force")

    module = f"/lib/modules/{kernel}/updates/dkms/nvidia-current.ko"
    assert outcomes.said(host, f"modinfo --field version {module}").strip() == version
    assert outcomes.said(host, f"modinfo --field signer {module}").strip() == "modelyard test"
