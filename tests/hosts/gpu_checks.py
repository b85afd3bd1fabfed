"""What roles of a GPU machine promise, each as a check that fails where it was not run."""

from pathlib import Path
from typing import Any

from testinfra.host import Host

from tests.hosts import outcomes
from tests.hosts.gpu_programs import SMI
from tests.hosts.gpus import THERE


def package_sources(host: Host, inputs: dict[str, Any]) -> None:
    """apt has exactly the sources that were asked for, each proven by the key that came along."""
    listed = host.run("ls /etc/apt/sources.list.d/modelyard-*").stdout.split()
    names = {one["name"] for one in inputs["package_sources_list"]}
    assert {Path(path).stem.removeprefix("modelyard-") for path in listed} == names
    for path in listed:
        assert "Signed-By: /etc/apt/keyrings/modelyard-" in outcomes.configured(host, path)
    policy = outcomes.said(host, "apt-cache policy nvidia-container-toolkit")
    assert f"file:{THERE}/archive ./ Packages" in policy


def nvidia_mig(host: Host, inputs: dict[str, Any]) -> None:
    """The GPU is divided as asked, or whole, now and after each start."""
    parts = outcomes.said(host, f"{SMI} -L")
    wanted = {"3g.20gb": 2, "": 0}[inputs["nvidia_mig_profile"]]
    assert parts.count("MIG 3g.20gb") == parts.count("  MIG ") == wanted
    assert host.service("modelyard-mig.service").is_enabled


def nvidia_container_toolkit(host: Host, inputs: dict[str, Any]) -> None:
    """Containers get GPUs through CDI, by the version that was asked for."""
    version = inputs.get("nvidia_container_toolkit_version", "1.19.0")
    policy = outcomes.said(host, "apt-cache policy nvidia-container-toolkit")
    assert f"Installed: {version}-1~simulated" in policy
    assert f"Candidate: {version}-1~simulated" in policy
    assert 'mode = "cdi"' in outcomes.said(host, "nvidia-ctk config")
    assert host.service("nvidia-cdi-refresh.path").is_running
    assert "nvidia-cdi-refresh.service" in outcomes.said(
        host, "systemctl list-unit-files --state=enabled"
    )


def gpu_health(host: Host, inputs: dict[str, Any]) -> None:
    """A timer looks as often as asked, and writes where it was told to."""
    timer = host.service("modelyard-gpu-health.timer")
    assert timer.is_running
    assert timer.is_enabled
    every = inputs.get("gpu_health_interval", 60)
    shown = outcomes.said(host, "systemctl cat modelyard-gpu-health.timer")
    assert f"OnUnitActiveSec={every}\n" in shown
    outcomes.said(host, "modelyard-gpu-health --look")
    outcomes.said(host, "systemctl start modelyard-gpu-health.service")
    series = outcomes.said(host, f"cat {inputs['gpu_health_metrics']}/modelyard_gpu.prom")
    assert "modelyard_gpu_faults 0" in series


CHECKS = {
    "package_sources": package_sources,
    "nvidia_mig": nvidia_mig,
    "nvidia_container_toolkit": nvidia_container_toolkit,
    "gpu_health": gpu_health,
}
