"""What the doctor finds, and that `up` refuses what it cannot help."""

from pathlib import Path

import pytest

from ci.report import silent
from ci.toolchain import debian, doctor, manifest, provide, resources, store
from infra import refusal
from infra.environment import Environment, load

DEBIAN = {"PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)", "ID": "debian"}


@pytest.fixture
def local(cache: Path, state: Path) -> Environment:
    """The environment `local` on a machine that has nothing yet."""
    return load("local")


def states(findings: list[doctor.Finding]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings}


def machine(**facts: object) -> list[doctor.Finding]:
    usual = {"kernel": "Linux", "processor": "x86_64", "python": (3, 11), "release": DEBIAN}
    return doctor.machine(doctor.Machine(**(usual | facts)))  # type: ignore[arg-type]


def test_debian_on_x86_with_a_new_python_is_well() -> None:
    assert set(states(machine()).values()) == {"ok"}


@pytest.mark.parametrize(
    ("facts", "name", "remedy"),
    [
        ({"processor": "aarch64"}, "system", "x86-64"),
        ({"kernel": "Darwin", "release": {}}, "system", "Debian or Ubuntu"),
        ({"release": {"ID": "fedora"}}, "system", "Debian or Ubuntu"),
        ({"python": (3, 10)}, "python", "3.11 or newer"),
    ],
)
def test_another_machine_is_named_with_the_remedy(
    facts: dict[str, object], name: str, remedy: str
) -> None:
    unwell = [finding for finding in machine(**facts) if finding.state != "ok"]

    assert [finding.name for finding in unwell] == [name]
    assert remedy in unwell[0].remedy


def test_a_relative_of_ubuntu_is_supported() -> None:
    assert set(states(machine(release={"ID": "pop", "ID_LIKE": "ubuntu debian"})).values()) == {
        "ok"
    }


def test_every_tool_is_listed_and_what_is_absent_has_a_remedy(local: Environment) -> None:
    findings = doctor.inspect(local)

    listed = states(findings)
    assert set(manifest.load().families("up")) <= set(listed)
    assert set(manifest.load().debian.packages) <= set(listed)
    assert {"go", "python", "image etcd", "training environment"} <= set(listed)
    assert listed["etcd"] == listed["image etcd"] == listed["training environment"] == "missing"
    assert [
        finding for finding in findings if (finding.state == "ok") == bool(finding.remedy)
    ] == []


def test_a_tool_that_one_command_makes_for_itself_is_not_missing(local: Environment) -> None:
    others = set(manifest.load().family) - set(manifest.load().families("up"))

    assert "vegeta" in others
    assert others & set(states(doctor.inspect(local))) == set()


def test_a_tool_whose_bytes_changed_is_damaged(local: Environment) -> None:
    def write(folder: Path) -> None:
        (folder / "etcd").write_text("good")

    entry = store.ensure(
        "etcd",
        provide.key("etcd"),
        version="3.6.8",
        source="a test",
        make=write,
    )
    assert states(doctor.inspect(local))["etcd"] == "ok"
    entry.file("etcd").write_text("evil")

    found = next(one for one in doctor.inspect(local) if one.name == "etcd")

    assert (found.state, found.version, found.source) == ("damaged", "3.6.8", "a test")
    assert found.remedy.startswith(f"etcd changed. Run: rm -r {entry.path}")


def test_up_refuses_a_machine_with_too_little_disk_before_it_installs(
    local: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[object] = []
    monkeypatch.setattr(debian, "require", lambda report: installed.append(report))
    little = resources.Reading(disk_gib=5, memory_gib=32)
    monkeypatch.setattr(resources, "read", lambda: little)

    with pytest.raises(refusal.Refusal, match="free disk"):
        doctor.require(local, silent)

    assert installed == []


def test_up_reports_what_is_needed_and_free(
    local: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(debian, "require", lambda report: ["skopeo"])
    much = resources.Reading(disk_gib=100, memory_gib=32)
    monkeypatch.setattr(resources, "read", lambda: much)

    doctor.require(local, lambda text, *_: said.append(text))

    assert said[0].startswith("needed for what is not made yet: disk ")
    assert " of 100 free, memory 4 GiB of 32 free, about " in said[0]
    assert said[1:] == ["installed skopeo"]


def test_an_environment_that_has_everything_needs_little(
    local: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = doctor.needed(local)
    entry = store.Entry(path=Path(), name="any", version="1", source="test", files={})
    monkeypatch.setattr(provide, "find", lambda name, source: entry)
    monkeypatch.setattr(doctor, "training_made", lambda: True)

    after = doctor.needed(local)

    assert after.disk_gib < before.disk_gib
    assert after.seconds == 0


def test_an_unsupported_machine_is_refused(
    local: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = doctor.Machine(kernel="Linux", processor="riscv64", release=DEBIAN)
    monkeypatch.setattr(doctor, "Machine", lambda: other)

    with pytest.raises(refusal.Refusal, match=r"riscv64.*not supported.*x86-64"):
        doctor.require(local, silent)


def test_plugins_that_an_account_needs_are_listed_with_the_remedy(local: Environment) -> None:
    listed = {one.name: one for one in doctor.inspect(load("dev")) if "plugin " in one.name}

    assert listed.keys() == {"plugin kubernetes", "plugin aws"}
    assert all("yard toolchain pin" in one.remedy for one in listed.values())
    assert not [one for one in doctor.inspect(local) if one.name.startswith("plugin ")]
