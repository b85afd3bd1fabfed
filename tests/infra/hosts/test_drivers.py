"""The table of GPU drivers: what is in it goes together, and what is not is refused."""

from datetime import date

import pytest

from infra.foundation import tables
from infra.hosts import drivers
from infra.hosts.drivers import Asked
from infra.refusal import Refusal

TABLE = drivers.load()
SOUND = {
    "driver": "535.309.01",
    "modules": "proprietary",
    "system": "Debian 12",
    "kernel": "6.1.0-48-amd64",
    "kubernetes": "1.36.3",
    "devices": ("20b0", "20b0"),
}


def _asked(**more: object) -> Asked:
    return Asked.model_validate(SOUND | more)


def test_a_combination_that_is_listed_is_chosen_with_its_packages() -> None:
    row = drivers.choose(TABLE, _asked())

    assert row.packages.pinned[0] == "nvidia-kernel-dkms"
    assert row.packages.version == "535.309.01-*"


def test_a_host_without_kubernetes_is_not_asked_for_its_version() -> None:
    assert drivers.choose(TABLE, _asked(kubernetes="")).driver == "535.309.01"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"driver": "550.1"}, "nvidia_driver_version is '550.1'"),
        ({"modules": "open"}, "nvidia_driver_modules is 'open'"),
        ({"system": "Ubuntu 24.04"}, "system is 'Ubuntu 24.04'"),
        ({"kernel": "6.10.3"}, "kernel is '6.10.3'"),
        ({"kubernetes": "1.30.1"}, "kubernetes_version is '1.30.1'"),
        ({"devices": ("20b0", "2901")}, "GPU is 'B200'"),
        ({"devices": ("1234",)}, "GPU is 'PCI device 10de:1234'"),
        ({"devices": ()}, "no NVIDIA GPU is on its PCI bus"),
    ],
    ids=["driver", "modules", "system", "kernel", "kubernetes", "GPU", "unknown", "none"],
)
def test_what_is_not_listed_is_refused_with_what_is(asked: dict[str, object], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        drivers.choose(TABLE, _asked(**asked))

    assert said in str(refused.value)
    assert refused.value.parts["remedy"].endswith(".")


def test_every_row_says_where_it_is_from_and_who_ran_it() -> None:
    known = {device.name for device in TABLE.devices.known.values()}
    for row in TABLE.drivers:
        assert row.packages.version.startswith(f"{row.driver}-")
        assert row.driver.startswith(f"{row.branch}.")
        assert set(row.gpus) <= known
        assert date.fromisoformat(row.date) >= date(2026, 1, 1)
        assert row.source
        assert row.seen.endswith(".")


def test_a_gpu_that_can_be_divided_has_its_profiles_in_the_other_table() -> None:
    named = {one.mig for one in TABLE.devices.known.values() if one.mig}

    assert named <= set(tables.gpus().mig)


def test_a_profile_yields_as_many_parts_as_the_table_says() -> None:
    assert drivers.divided(TABLE, ["2330", "2331"], "1g.10gb") == 7


@pytest.mark.parametrize(
    ("devices", "profile"),
    [(["20b0"], "1g.10gb+me"), (["20b0", "2330"], "1g.10gb"), (["27b8"], "1g.5gb"), ([], "1g.5gb")],
    ids=["unknown", "of different GPUs", "of one that cannot be divided", "of none"],
)
def test_a_profile_that_not_all_gpus_know_is_refused(devices: list[str], profile: str) -> None:
    with pytest.raises(Refusal, match="nvidia_mig_profile"):
        drivers.divided(TABLE, devices, profile)


def test_a_branch_ends_after_its_last_month() -> None:
    row = drivers.row_of(TABLE, "580.159.03")
    assert row is not None

    assert not drivers.ended(row, date(2028, 6, 30))
    assert drivers.ended(row, date(2028, 7, 1))
    assert drivers.row_of(TABLE, "1.2.3") is None
