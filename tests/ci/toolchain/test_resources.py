"""Too little disk or memory is refused before work starts."""

from pathlib import Path

import pytest

from ci.report import STAYS, Report
from ci.toolchain import provide, resources, store
from infra import refusal

ENOUGH = resources.Reading(disk_gib=100, memory_gib=32)
NEED = resources.Need(disk_gib=12, memory_gib=4, seconds=600)


def test_enough_of_both_is_accepted() -> None:
    resources.check(NEED, ENOUGH)


def test_too_little_disk_is_refused_with_both_numbers() -> None:
    with pytest.raises(refusal.Refusal) as refused:
        resources.check(NEED, resources.Reading(disk_gib=11.5, memory_gib=32))

    assert "11.5 GiB" in str(refused.value)
    assert "12.0 GiB are needed" in str(refused.value)
    assert "XDG_CACHE_HOME" in refused.value.remedy


def test_too_little_memory_is_refused_with_both_numbers() -> None:
    with pytest.raises(refusal.Refusal, match=r"free memory is '3\.5 GiB': 4\.0 GiB are needed"):
        resources.check(NEED, resources.Reading(disk_gib=100, memory_gib=3.5))


def test_needed_and_free_are_said_in_one_line() -> None:
    assert NEED.words(ENOUGH) == ("disk 12 GiB of 100 free, memory 4 GiB of 32 free, about 10 min")


def test_free_disk_is_read_where_the_cache_will_be(cache: Path) -> None:
    assert not cache.exists()

    assert resources.read().disk_gib > 0


@pytest.mark.parametrize(
    ("files", "expected_mib"),
    [
        ({}, 1024),
        ({"memory.max": "max", "memory.current": "1"}, 1024),
        ({"memory.max": str(300 * 2**20), "memory.current": str(100 * 2**20)}, 200),
        ({"memory.max": str(2**63), "memory.current": "0"}, 1024),
        ({"memory.max": "5", "memory.current": "9"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": str(700 * 2**20),
                "memory/memory.usage_in_bytes": str(100 * 2**20),
            },
            600,
        ),
    ],
)
def test_memory_is_what_the_cgroup_leaves_when_that_is_less(
    files: dict[str, str], expected_mib: int, tmp_path: Path
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert resources.memory(meminfo, tmp_path) == expected_mib * 2**20


def test_nothing_is_built_when_there_is_too_little(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    monkeypatch.setattr(provide, "family", lambda name, report, source: built.append(name))

    with pytest.raises(refusal.Refusal, match="free disk"):
        provide.ensure_all(
            "closed", ["etcd"], lambda *_: None, lambda: resources.Reading(disk_gib=1, memory_gib=9)
        )

    assert built == []


def test_families_come_one_after_the_other_with_progress_of_the_whole(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, int, int]] = []

    def make(name: str, report: Report, source: str) -> store.Entry:
        report("compiling", 1, 2)
        return store.Entry(path=cache, name=name, version="1", source="test", files={})

    monkeypatch.setattr(provide, "family", make)

    entries = provide.ensure_all(
        "closed", ["etcd", "coredns"], lambda *one: said.append(one), lambda: ENOUGH
    )

    assert list(entries) == ["etcd", "coredns"]
    begin, etcd, coredns = said
    assert begin[0].startswith("to make: etcd, coredns (disk ")
    assert etcd[0] == "etcd: compiling"
    assert begin[2] == STAYS
    assert 0 < etcd[1] < coredns[1] < etcd[2] == coredns[2]


def test_what_the_store_has_needs_no_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = store.Entry(path=cache, name="etcd", version="1", source="test", files={})
    monkeypatch.setattr(provide, "find", lambda name, source: present)
    monkeypatch.setattr(provide, "family", lambda name, report, source: present)

    nothing = resources.Reading(disk_gib=0, memory_gib=0)
    assert provide.ensure_all("closed", ["etcd"], lambda *_: None, lambda: nothing) == {
        "etcd": present
    }
