from pathlib import Path

from ci.pipeline import workplace


def test_the_engines_debug_log_has_no_folder_to_go_to(tmp_path: Path) -> None:
    workplace.without_debug_log(tmp_path)

    assert (tmp_path / "logs").is_file()


def test_debug_logs_of_earlier_runs_are_removed_once(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "pulumi-1.log").write_text("debug")

    workplace.without_debug_log(tmp_path)
    first = (tmp_path / "logs").stat().st_mtime_ns
    workplace.without_debug_log(tmp_path)

    assert (tmp_path / "logs").stat().st_mtime_ns == first
