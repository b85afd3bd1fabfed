import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.bench import processes

WORK = "import time\nwhile time.process_time() < 0.4: pass\ntime.sleep(60)"


@pytest.fixture
def supervisor() -> Iterator[int]:
    """A process that does nothing, whose child works in a session of its own, as Bento's does."""
    run = f"subprocess.run([sys.executable, '-c', {WORK!r}], start_new_session=True)"
    child = f"import subprocess, sys\n{run}"
    process = subprocess.Popen([sys.executable, "-c", child])
    yield process.pid
    for pid in processes.family(process.pid):
        os.kill(pid, 9)
    process.wait()


def until_it_worked(used: object, least: float) -> float:
    assert callable(used)
    deadline = time.monotonic() + 30
    while used() < least and time.monotonic() < deadline:
        time.sleep(0.05)
    return float(used())


def test_the_time_of_a_worker_in_another_session_counts(supervisor: int) -> None:
    assert until_it_worked(processes.of_family(supervisor), 0.4) >= 0.4


def test_the_busiest_of_a_family_is_its_worker(supervisor: int) -> None:
    until_it_worked(processes.of_family(supervisor), 0.4)

    assert processes.busiest(supervisor) in processes.family(supervisor) - {supervisor}


def test_the_time_of_others_does_not_count(supervisor: int) -> None:
    assert os.getpid() not in processes.family(supervisor)


def test_the_processes_of_a_pod_are_found_by_its_uid_in_their_groups() -> None:
    own = Path("/proc/self/cgroup").read_text().splitlines()[0].rpartition(":")[2]

    assert processes.of_pods({own})() > 0
    assert processes.of_pods({"no-such-pod"})() == 0
