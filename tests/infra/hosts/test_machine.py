"""A machine that could not carry a playbook is refused with what it is, the rule and the remedy."""

import pytest

from infra.hosts import clock, known_good, machine
from infra.hosts.machine import Machine
from infra.refusal import Refusal

LIMITS = known_good.load().limits
SOUND = {
    "system": "Debian GNU/Linux 12 (bookworm)",
    "family": "debian",
    "release": "12",
    "user": "ops",
    "becomes_root": True,
    "free_gib": {"/": 40.0, "/var/lib": 12.5},
    "inodes_free_percent": {"/": 90, "/var/lib": 100},
    "clock_off": 0.2,
}


def _require(password: bool, **more: object) -> None:
    machine.require("cpu-1", Machine.model_validate(SOUND | more), LIMITS, password=password)


def test_a_sound_machine_is_not_refused() -> None:
    _require(password=False)


@pytest.mark.parametrize(
    ("found", "where", "value"),
    [
        ({"system": "Alpine Linux v3.22", "family": "alpine"}, "system", "Alpine Linux v3.22"),
        ({"system": "Debian 11", "release": "11"}, "system", "Debian 11"),
        (
            {"system": "Ubuntu 20.04", "family": "ubuntu", "release": "20.04"},
            "system",
            "Ubuntu 20.04",
        ),
        ({"system": "Debian forky/sid", "release": ""}, "system", "Debian forky/sid"),
        ({"becomes_root": False}, "ansible_user", "ops"),
        ({"free_gib": {"/": 40.0, "/var/lib": 0.1}}, "disk /var/lib", "0.1 GiB free"),
        ({"inodes_free_percent": {"/": 90, "/var/lib": 1}}, "files /var/lib", "1 % free"),
        ({"absent": ["/srv/nvme"]}, "storage", "/srv/nvme"),
        ({"clock_off": 90.0}, "clock", "90 s off"),
    ],
    ids=["system", "debian", "ubuntu", "unborn", "sudo", "disk", "files", "storage", "clock"],
)
def test_what_would_stop_it_half_way_is_refused(
    found: dict[str, object], where: str, value: str
) -> None:
    with pytest.raises(Refusal) as refused:
        _require(False, **found)

    assert refused.value.where == f"cpu-1: {where}"
    assert refused.value.value == value
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("family", "release"), [("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")]
)
def test_later_systems_are_let_pass(family: str, release: str) -> None:
    _require(False, family=family, release=release)


def test_whoever_has_a_password_for_sudo_is_believed() -> None:
    _require(password=True, becomes_root=False)


@pytest.mark.parametrize(
    ("there", "seconds"),
    [(100.5, 0.0), (99.0, 1.0), (111.0, 10.0)],
    ids=["within", "late", "early"],
)
def test_a_clock_is_off_by_what_no_call_can_explain(there: float, seconds: float) -> None:
    assert clock.off(100.0, there, 101.0) == seconds
