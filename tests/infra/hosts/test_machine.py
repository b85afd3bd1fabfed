"""A machine that could not carry a playbook is refused with what it is, the rule and the remedy."""

import pytest

from infra.hosts import clock, known_good, machine
from infra.hosts.machine import Machine
from infra.refusal import Refusal

LIMITS = known_good.load().limits
SOUND = {
    "system": "Debian GNU/Linux 12 (bookworm)",
    "family": "debian",
    "user": "ops",
    "becomes_root": True,
    "free_gib": {"/": 40.0, "/var/lib": 12.5},
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
        ({"becomes_root": False}, "ansible_user", "ops"),
        ({"free_gib": {"/": 40.0, "/var/lib": 0.1}}, "disk /var/lib", "0.1 GiB free"),
        ({"absent": ["/srv/nvme"]}, "storage", "/srv/nvme"),
        ({"clock_off": 90.0}, "clock", "90 s off"),
    ],
    ids=["system", "sudo", "disk", "storage", "clock"],
)
def test_what_would_stop_it_half_way_is_refused(
    found: dict[str, object], where: str, value: str
) -> None:
    with pytest.raises(Refusal) as refused:
        _require(False, **found)

    assert refused.value.where == f"cpu-1: {where}"
    assert refused.value.value == value
    assert refused.value.remedy


def test_whoever_has_a_password_for_sudo_is_believed() -> None:
    _require(password=True, becomes_root=False)


@pytest.mark.parametrize(
    ("there", "seconds"),
    [(100.5, 0.0), (99.0, 1.0), (111.0, 10.0)],
    ids=["within", "late", "early"],
)
def test_a_clock_is_off_by_what_no_call_can_explain(there: float, seconds: float) -> None:
    assert clock.off(100.0, there, 101.0) == seconds
