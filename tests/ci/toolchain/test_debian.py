"""Debian's tools, asked and told through programs that stand in for them."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from ci.report import silent
from ci.toolchain import debian
from infra import refusal

STATUS = """Package: bash
Status: install ok installed
Version: 5.2.15-2+b7
Description: GNU Bourne Again SHell
 Version: not this line

Package: base-files
Version: 12.4+deb12u11
"""


class Machine:
    """Programs on a PATH of their own; each call of one is a line in ``calls``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "calls"
        self.log.touch()

    def has(self, program: str, script: str) -> None:
        path = self.folder / program
        path.write_text(
            f'#!/bin/sh\necho "{program} $*" >> {self.log}\n: {self.folder}\n{script}\n'
        )
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A Debian machine of root with nothing but a shell."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "system", lambda: {"ID": "debian"})
    return Machine(folder)


def installs(machine: Machine) -> None:
    """Give the machine an apt-get that installs what it is asked for."""
    machine.has(
        "dpkg-query",
        f'echo "installed bash"; test ! -e {machine.folder}/done || echo "installed skopeo"',
    )
    machine.has(
        "apt-get",
        'test "$1" = install || exit 0\n'
        'echo "pmstatus:skopeo:50.0:Unpacking skopeo (amd64)" >&3\n'
        f"touch {machine.folder}/done",
    )


def test_packages_that_are_not_installed_are_found(machine: Machine) -> None:
    machine.has("dpkg-query", 'echo "installed bash"; echo "config-files skopeo"; exit 1')

    assert debian.missing(["bash", "skopeo", "buildah"]) == ["skopeo", "buildah"]


def test_what_is_missing_is_installed_with_progress(machine: Machine) -> None:
    installs(machine)
    said: list[tuple[str, int, int]] = []

    assert debian.require(lambda *one: said.append(one), ["bash", "skopeo"]) == ["skopeo"]

    assert ("apt-get: Unpacking skopeo (amd64)", 50, 100) in said
    update, install = [call for call in machine.calls if call.startswith("apt-get")]
    assert update.startswith("apt-get update")
    assert install.startswith("apt-get install --yes --no-install-recommends ")
    assert install.endswith(" skopeo")


def test_nothing_is_installed_when_nothing_is_missing(machine: Machine) -> None:
    installs(machine)

    assert debian.require(silent, ["bash"]) == []

    assert [call for call in machine.calls if call.startswith("apt-get")] == []


def test_a_user_who_is_not_root_is_told_the_command(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    installs(machine)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(refusal.Refusal) as refused:
        debian.require(silent, ["bash", "skopeo"])

    assert refused.value.value == "skopeo"
    assert refused.value.remedy.endswith("apt-get install --yes --no-install-recommends skopeo")
    assert [call for call in machine.calls if call.startswith("apt-get")] == []


def test_another_distribution_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    installs(machine)
    monkeypatch.setattr(debian, "system", lambda: {"ID": "fedora"})

    with pytest.raises(refusal.Refusal, match="only root on Debian or Ubuntu"):
        debian.require(silent, ["skopeo"])


def test_a_machine_without_dpkg_lacks_every_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert debian.missing(["bash"]) == ["bash"]


def test_an_installation_that_fails_ends_with_what_apt_said(machine: Machine) -> None:
    machine.has("dpkg-query", "")
    machine.has("apt-get", 'test "$1" = update && exit 0; echo "E: no such package"; exit 100')

    with pytest.raises(debian.DebianError, match="E: no such package"):
        debian.require(silent, ["nonesuch"])


def test_an_installation_that_did_nothing_is_noticed(machine: Machine) -> None:
    machine.has("dpkg-query", "")
    machine.has("apt-get", "")

    with pytest.raises(debian.DebianError, match="dpkg lacks skopeo"):
        debian.require(silent, ["skopeo"])


def test_a_base_is_stored_with_the_versions_in_it(cache: Path, machine: Machine) -> None:
    root = machine.folder / "root.tar"
    with tarfile.open(root, "w") as tar:
        info = tarfile.TarInfo("./var/lib/dpkg/status")
        info.size = len(STATUS)
        tar.addfile(info, io.BytesIO(STATUS.encode()))
    machine.has(
        "mmdebstrap", f'echo "I: installing packages"; for last; do :; done; cp {root} $last'
    )
    said: list[str] = []

    entry = debian.base_entry("bare", ["curl"], lambda text, *_: said.append(text))

    assert debian.versions(entry) == {"bash": "5.2.15-2+b7", "base-files": "12.4+deb12u11"}
    assert debian.read(entry.file(debian.TAR), "var/lib/dpkg/status").decode() == STATUS
    assert "mmdebstrap: installing" in said
    assert debian.base("bare", ["curl"], silent) == entry.file(debian.TAR)
    assert len(machine.calls) == 1
    assert "--include=curl,usr-is-merged bookworm" in machine.calls[0]


def test_a_teams_mirror_is_handed_to_mmdebstrap(
    cache: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has("mmdebstrap", "exit 1")
    monkeypatch.setenv(debian.SOURCES, "/etc/apt/mirror.list")

    with pytest.raises(debian.DebianError, match=r"mmdebstrap .* failed"):
        debian.base("bare", [], silent)

    assert machine.calls[0].endswith(" /etc/apt/mirror.list")


def test_a_machine_without_mmdebstrap_is_told_what_to_install(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(debian.DebianError, match="As root, run: apt-get install mmdebstrap"):
        debian.base("bare", [], silent)


def test_a_bases_key_depends_on_what_is_in_it_and_not_on_the_order() -> None:
    key = debian.base_key(["a", "b"])

    assert debian.base_key(["b", "a"]) == key
    assert debian.base_key(["a"]) != key
    assert debian.base_key(["a", "b"], setuid=False) != key


def test_the_systems_release_is_read(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\n\n# note\nID_LIKE=debian\n')

    assert debian.system(release) == {
        "PRETTY_NAME": "Ubuntu 24.04 LTS",
        "ID": "ubuntu",
        "ID_LIKE": "debian",
    }
    assert debian.system(tmp_path / "absent") == {}
