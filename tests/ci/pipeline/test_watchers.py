import ctypes
import os
from pathlib import Path

import pytest

from ci.pipeline import watchers
from infra.refusal import Refusal


def _process(folder: Path, number: int, instances: int) -> None:
    descriptors = folder / str(number) / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "0").symlink_to("/dev/null")
    for index in range(instances):
        (descriptors / str(index + 3)).symlink_to("anon_inode:inotify")


def test_instances_of_all_of_roots_processes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _process(tmp_path, 1, 4)
    _process(tmp_path, 20, 3)
    (tmp_path / "sys").mkdir()
    owner = os.stat_result((0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self: owner if self.name.isdigit() else real(self))

    assert watchers.count(tmp_path) == 7


def test_the_kernels_own_name_of_an_instance_is_known() -> None:
    libc = ctypes.CDLL(None)
    instance = libc.inotify_init()
    try:
        assert watchers._watches(Path(f"/proc/self/fd/{instance}"))
    finally:
        os.close(instance)


def test_a_machine_whose_instances_are_used_up_is_refused_with_the_remedy(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    limit.write_text("53\n")

    with pytest.raises(Refusal, match="max_user_instances") as refused:
        watchers.require(3, limit, tmp_path)

    assert "sysctl -w fs.inotify.max_user_instances=512" in refused.value.remedy


def test_a_machine_with_room_is_not_refused(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    limit.write_text("54\n")

    watchers.require(3, limit, tmp_path)

    assert watchers.count(tmp_path) == 0
