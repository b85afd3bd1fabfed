"""The store: entries are whole or absent, whatever interrupts their making."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ci.toolchain import store

KEY = "0123456789abcdef"

SLOW = """
import sys, time
from pathlib import Path
from ci.toolchain import store

def make(folder):
    with open(sys.argv[1], "a") as counter:
        counter.write("made\\n")
    (store.scratch(folder) / "cache").write_text("half")
    (folder / "tool").write_text("whole")
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))

store.ensure("slow", "0123456789abcdef", version="1", source="test", make=make)
print("done", flush=True)
"""


def ensure(text: str = "whole", key: str = KEY) -> store.Entry:
    def make(folder: Path) -> None:
        (folder / "tool").write_text(text)

    return store.ensure("slow", key, version="1", source="test", make=make)


def start(counter: Path, seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(counter), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in (cache / "tools").glob(".partial-*")]


def test_an_entry_is_made_once_and_found_again(cache: Path) -> None:
    first = ensure()
    second = ensure("a second making would write this")

    assert second == first
    assert second.file("tool").read_text() == "whole"


def test_a_making_that_fails_leaves_nothing(cache: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "tool").write_text("half")
        raise RuntimeError("no compiler")

    with pytest.raises(RuntimeError, match="no compiler"):
        store.ensure("slow", KEY, version="1", source="test", make=make)

    assert store.find("slow", KEY) is None
    assert leftovers(cache) == []


def test_a_killed_making_is_not_trusted_and_the_next_run_completes(cache: Path) -> None:
    with start(cache.parent / "counter", 60) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.send_signal(signal.SIGKILL)
    assert leftovers(cache) == [f".partial-slow-{KEY}"]
    assert store.find("slow", KEY) is None

    assert ensure("made anew").file("tool").read_text() == "made anew"
    assert leftovers(cache) == []


def test_two_processes_make_an_entry_once(cache: Path) -> None:
    counter = cache.parent / "counter"
    counter.parent.mkdir()
    both = [start(counter, 1), start(counter, 1)]
    said = [process.communicate()[0] for process in both]

    assert [text.splitlines()[-1] for text in said] == ["done", "done"]
    assert counter.read_text() == "made\n"


def test_what_a_build_keeps_in_its_scratch_room_is_not_in_the_entry(cache: Path) -> None:
    def make(folder: Path) -> None:
        (store.scratch(folder) / "cache").write_text("large")
        (folder / "tool").write_text("small")

    entry = store.ensure("slow", KEY, version="1", source="test", make=make)

    assert list(entry.files) == ["tool"]
    assert leftovers(cache) == []


def test_an_entry_that_lost_a_file_is_made_again(cache: Path) -> None:
    ensure().file("tool").unlink()

    assert store.find("slow", KEY) is None
    assert ensure("made anew").file("tool").read_text() == "made anew"


def test_an_entry_with_a_cut_file_is_made_again(cache: Path) -> None:
    ensure().file("tool").write_text("who")

    assert ensure("made anew").file("tool").read_text() == "made anew"


@pytest.mark.parametrize("listing", ["", "{", "[]", '{"name": "slow"}', '{"surprise": 1}'])
def test_an_entry_with_a_damaged_listing_is_made_again(cache: Path, listing: str) -> None:
    (ensure().path / "manifest.json").write_text(listing)

    assert ensure("made anew").file("tool").read_text() == "made anew"


def test_a_file_that_was_changed_in_place_is_named(cache: Path) -> None:
    entry = ensure("whole")
    entry.file("tool").write_text("whale")

    assert entry.damage() == ["tool"]


def test_an_old_entry_that_nobody_used_goes_when_a_new_one_is_made(cache: Path) -> None:
    unused, used = ensure(key="a" * 16), ensure(key="b" * 16)
    long_ago = time.time() - (store.UNUSED_DAYS + 1) * 86400
    for entry in (unused, used):
        os.utime(entry.path / "manifest.json", (long_ago, long_ago))
    store.find("slow", "b" * 16)

    ensure(key="c" * 16)

    assert not unused.path.exists()
    assert used.path.exists()


def test_tidying_spares_a_making_that_goes_on(cache: Path) -> None:
    dead = cache / "tools" / ".partial-dead-0"
    dead.mkdir(parents=True)
    with start(cache.parent / "counter", 2) as running:
        assert running.stdout is not None
        running.stdout.readline()
        store.tidy()
        assert not dead.exists()
        assert running.stdout.readline() == "done\n"

    assert store.find("slow", KEY) is not None


def test_two_keys_of_one_name_are_made_side_by_side(cache: Path) -> None:
    with start(cache.parent / "counter", 2) as running:
        assert running.stdout is not None
        running.stdout.readline()
        ensure("another version", key="f" * 16)
        assert running.stdout.readline() == "done\n"

    entry = store.find("slow", KEY)
    assert entry is not None
    assert entry.file("tool").read_text() == "whole"
