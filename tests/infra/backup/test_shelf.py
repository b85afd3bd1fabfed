"""Which backups stay."""

import datetime as dt
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infra.backup import shelf
from infra.backup.shelf import STAMP, Keep
from tests.infra.backup.conftest import NOON, Backup

MOMENTS = st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2026, 12, 31)).map(
    lambda moment: moment.strftime(STAMP)
)


def _every_five_minutes(days: int) -> list[str]:
    return [
        (NOON + dt.timedelta(minutes=5 * number)).strftime(STAMP)
        for number in range(days * 24 * 12)
    ]


def test_of_a_month_of_backups_every_five_minutes_few_stay_and_reach_back() -> None:
    stamps = _every_five_minutes(30)

    kept = sorted(shelf.kept(stamps, Keep(last=24, hours=24, days=14, weeks=8)))

    assert kept[-24:] == stamps[-24:]
    assert len(kept) <= 24 + 24 + 14 + 8
    assert dt.datetime.strptime(kept[0], STAMP) < dt.datetime(2026, 12, 1)


def test_of_each_day_its_newest_stays() -> None:
    kept = shelf.kept(_every_five_minutes(3), Keep(last=1, hours=0, days=2, weeks=0))

    assert sorted(kept) == ["20261123T235500Z", "20261124T115500Z"]


@given(st.lists(MOMENTS, min_size=1, unique=True), st.integers(0, 5), st.integers(0, 5))
def test_the_newest_stays_whatever_is_said(stamps: list[str], last: int, days: int) -> None:
    kept = shelf.kept(stamps, Keep(last=last, hours=0, days=days, weeks=0))

    assert max(stamps) in kept
    assert kept <= {*stamps}
    assert len(kept) <= max(last, 1) + days


@given(st.lists(MOMENTS, unique=True))
def test_what_stays_stays_when_it_is_asked_again(stamps: list[str]) -> None:
    kept = shelf.kept(stamps, Keep())

    assert shelf.kept(sorted(kept), Keep()) == kept


def test_a_backup_that_goes_is_removed_when_the_new_one_is_whole(backup: Backup) -> None:
    keep = Keep(last=2, hours=0, days=0, weeks=0)

    folders = [backup(keep=keep) for _ in range(3)]

    assert [folder.is_dir() for folder in folders] == [False, True, True]


def test_what_is_no_backup_is_neither_counted_nor_removed(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "backups" / "notes").mkdir(parents=True)

    backup(keep=Keep(last=1, hours=0, days=0, weeks=0))

    assert (tmp_path / "backups" / "notes").is_dir()
