"""What the GPU roles read, plan and write, without a host; what they do on one: tests/hosts."""

import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.ansible import command
from tests.ansible.command import ANSIBLE
from tests.ansible.test_gpu_health import script
from tests.ansible.test_roles import _plugin
from tests.hosts.gpus import Simulated

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaaaaaa-d33d-2b2c-524d-9e3d8d2b8a77)
"""


@pytest.fixture(scope="module")
def mig() -> ModuleType:
    return script("nvidia_mig", "modelyard-mig")


def test_parts_and_modes_are_read_as_nvidia_smi_prints_them(mig: ModuleType) -> None:
    assert mig.parts(LISTED) == {0: ["1g.5gb", "1g.5gb"], 1: []}
    assert mig.modes("0, Enabled\n1, Disabled\n2, [N/A]\n") == {0: True, 1: False, 2: False}


def test_a_gpu_that_is_divided_as_asked_is_left_alone(mig: ModuleType) -> None:
    assert mig.plan({0: True}, {0: ["3g.20gb", "3g.20gb"]}, "3g.20gb", 2) == []
    assert mig.plan({0: False}, {0: []}, "", 0) == []


def test_a_gpu_is_divided_anew_after_its_parts_are_gone(mig: ModuleType) -> None:
    assert mig.plan({0: True}, mig.parts(LISTED), "3g.20gb", 2) == [
        ["mig", "-i", "0", "-dci"],
        ["mig", "-i", "0", "-dgi"],
        ["mig", "-i", "0", "-cgi", "3g.20gb,3g.20gb", "-C"],
    ]


def test_mig_is_switched_on_and_off_by_gpu(mig: ModuleType) -> None:
    assert mig.plan({0: False}, {}, "7g.40gb", 1) == [
        ["-i", "0", "-mig", "1"],
        ["mig", "-i", "0", "-cgi", "7g.40gb", "-C"],
    ]
    assert mig.plan({0: True}, mig.parts(LISTED), "", 0)[-1] == ["-i", "0", "-mig", "0"]


def test_a_plan_of_other_settings_reads_no_file_and_divides_nothing(
    mig: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smi = tmp_path / "simulated-nvidia-smi"
    whole = f"#!/bin/sh\n# Simulated.\necho $* >> {tmp_path}/asked\n"
    smi.write_text(f"{whole}[ $1 = -L ] && echo 'GPU 0: one (UUID: x)' || echo 0, Disabled\n")
    smi.chmod(0o755)
    mig.SETTINGS = tmp_path / "absent"  # type: ignore[attr-defined]

    mig.main(["--plan", json.dumps({"profile": "7g.40gb", "parts": 1, "nvidia_smi": str(smi)})])

    assert capsys.readouterr().out.splitlines() == [
        "nvidia-smi -i 0 -mig 1",
        "nvidia-smi mig -i 0 -cgi 7g.40gb -C",
    ]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [" ".join(mig.MODES), "-L"]


def test_only_display_controllers_of_nvidia_are_gpus(tmp_path: Path) -> None:
    module, simulated = _plugin("modules/gpu_facts.py"), Simulated(folder=tmp_path)
    simulated.gpu()

    assert module.observe(tmp_path) == {
        "devices": ["20b0"],
        "kernel": "6.1.0-48-amd64",
        "running": "",
        "nouveau": False,
        "secure_boot": False,
        "enrolled": False,
    }


def test_secure_boot_and_the_owners_certificates_are_seen(tmp_path: Path) -> None:
    module, simulated = _plugin("modules/gpu_facts.py"), Simulated(folder=tmp_path)
    simulated.gpu()
    simulated.runs("535.309.01")
    simulated.secure_boot(b"first", b"second")

    seen = module.observe(tmp_path, b"second")
    assert (seen["secure_boot"], seen["enrolled"], seen["running"]) == (True, True, "535.309.01")
    assert module.observe(tmp_path, b"third")["enrolled"] is False


def _containerd(tmp_path: Path, **more: Any) -> dict[str, Any]:
    role = ANSIBLE / "roles" / "containerd"
    inputs = {"containerd_pause_image": "pause:1", **more}
    task = {
        "ansible.builtin.template": {
            "src": str(role / "templates" / "config.toml.j2"),
            "dest": f"{tmp_path}/config.toml",
        }
    }
    files = [str(role / "defaults" / "main.yml")]
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": files, "tasks": [task]}
    (tmp_path / "render.yml").write_text(yaml.safe_dump([play]))
    done = command.run(
        *("playbook", "--connection", "local", "--extra-vars", json.dumps(inputs)),
        *("--extra-vars", f"ansible_python_interpreter={sys.executable}", tmp_path / "render.yml"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    plugins = tomllib.loads((tmp_path / "config.toml").read_text())["plugins"]
    found: dict[str, Any] = plugins["io.containerd.cri.v1.runtime"]["containerd"]
    return found


def test_a_gpu_hosts_containers_are_started_by_the_toolkits_runtime(tmp_path: Path) -> None:
    runtime = "/usr/bin/nvidia-container-runtime"
    containerd = _containerd(
        tmp_path, containerd_runtimes={"nvidia": runtime}, containerd_default_runtime="nvidia"
    )

    assert containerd["default_runtime_name"] == "nvidia"
    assert containerd["runtimes"]["nvidia"]["options"] == {
        "BinaryName": runtime,
        "SystemdCgroup": True,
    }


def test_any_other_host_has_runc_alone(tmp_path: Path) -> None:
    assert set(_containerd(tmp_path)) == {"runtimes"}


SOURCE: dict[str, Any] = {"name": "debian", "uris": ["x"], "suites": ["y"], "keyring": "/k.gpg"}
SOURCES: dict[str, tuple[dict[str, Any], str]] = {
    "sound": (SOURCE, ""),
    "unproven": ({key: SOURCE[key] for key in ("name", "uris", "suites")}, "whose packages are"),
    "twice": (SOURCE | {"key": "/k.asc"}, "whose packages are installed"),
    "name": (SOURCE | {"name": "../etc"}, "name of a file"),
}
SEEN = {
    "devices": ["20b0"],
    "kernel": "6.1.0-48-amd64",
    "running": "",
    "nouveau": True,
    "secure_boot": False,
    "enrolled": False,
}
KEYS = {"nvidia_driver_signing_key": "/a.key", "nvidia_driver_signing_certificate": "/a.der"}
SECURE = {"secure_boot": True}
OFFERED = "nvidia-kernel-dkms | 535.309.01-0+deb12u1 | somewhere bookworm-security/non-free"
OTHER = "nvidia-kernel-dkms | 535.261.03-1 | somewhere bookworm/non-free"
# What is seen of a host, what is asked of it, what apt offers, and what is said.
DRIVERS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "sound": ({}, {}, OFFERED, ""),
    "kernel": ({"kernel": "6.12.1"}, {}, OFFERED, "with 6.1 only"),
    "no-gpu": ({"devices": []}, {}, OFFERED, "no NVIDIA GPU is on its PCI bus"),
    "version": ({}, {"nvidia_driver_version": "1.2"}, OFFERED, "lists driver with 535"),
    "half": ({}, {"nvidia_driver_signing_key": "/a.key"}, OFFERED, "Set both, or neither"),
    "unsigned": (SECURE, {}, OFFERED, "the kernel would load no module that is not signed"),
    "stranger": (SECURE, KEYS, OFFERED, "none of those that the machine"),
    "enrolled": (SECURE | {"enrolled": True}, KEYS, OFFERED, ""),
    "not-offered": ({}, {}, OTHER, "no source of apt has nvidia-kernel-dkms 535.309.01-*"),
}


def _refused(folder: Path, role: str, hosts: dict[str, Any], **shared: Any) -> str:
    """What a role refuses first, each case on a host of its own, in one line a host."""
    pages = [ANSIBLE / "roles" / role / "tasks" / f"{name}.yml" for name in ("preflight", "offer")]
    tasks = [task for page in pages if page.is_file() for task in yaml.safe_load(page.read_text())]
    judging = [task for task in tasks if {"refuse", "gpu_table"} & set(task)]
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    files = [ANSIBLE / "roles" / role / "vars" / "main.yml"]
    play = {
        "hosts": "all",
        "gather_facts": False,
        "any_errors_fatal": False,
        "vars_files": [str(path) for path in files],
        "vars": shared,
        "tasks": judging,
    }
    (folder / "refuse.yml").write_text(yaml.safe_dump([play]))
    done = command.run(
        *("playbook", "--connection", "local", "--inventory", folder / "hosts.yml"),
        folder / "refuse.yml",
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout


def _said(refusals: str, case: str) -> str:
    lines = [line for line in refusals.splitlines() if f'"where": "{case}: ' in line]
    return "".join(lines)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What package_sources says."""
    hosts = {name: {"package_sources_list": [given]} for name, (given, _) in SOURCES.items()}
    return _refused(tmp_path_factory.mktemp("sources"), "package_sources", hosts)


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_of_packages_that_nothing_proves_is_refused(sources: str, case: str) -> None:
    said = _said(sources, case)

    assert bool(said) is bool(SOURCES[case][1])
    assert SOURCES[case][1] in said


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What nvidia_driver says."""
    defaults = yaml.safe_load((ANSIBLE / "roles/nvidia_driver/defaults/main.yml").read_text())
    wanted = {"nvidia_driver_version": "535.309.01", "nvidia_driver_modules": "proprietary"}
    hosts = {
        name: defaults
        | wanted
        | {"nvidia_driver_kubernetes": "1.36.3"}
        | asked
        | {
            "__nvidia_driver_seen": SEEN | seen,
            "__nvidia_driver_madison": {"stdout": apt, "stdout_lines": [apt]},
        }
        for name, (seen, asked, apt, _) in DRIVERS.items()
    }
    facts = {"distribution": "Debian", "distribution_major_version": "12", "packages": {}}
    folder = tmp_path_factory.mktemp("drivers")
    return _refused(folder, "nvidia_driver", hosts, ansible_facts=facts)


@pytest.mark.parametrize("case", DRIVERS)
def test_a_driver_that_could_not_be_trusted_to_run_is_refused(drivers: str, case: str) -> None:
    said, expected = _said(drivers, case), DRIVERS[case][3]

    assert bool(said) is bool(expected)
    assert expected in said
    assert not said or '"remedy": ' in said
