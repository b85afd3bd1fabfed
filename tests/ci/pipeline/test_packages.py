from pathlib import Path

import pytest

from ci.pipeline import packages


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Packages as uv unpacks them, with what no service reads."""
    for name in packages.UNUSED:
        (tmp_path / name.replace("*", "x")).mkdir(parents=True)
    for name in (
        "numpy/lib/tests/deep/test_io.py",
        "numpy/core.py",
        "jinja2/tests.py",
        "uvloop/loop.c",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_what_no_service_reads_is_taken_out_of_the_image(installed: Path) -> None:
    packages.trim(installed)

    left = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert left == {"numpy/core.py", "jinja2/tests.py"}


def test_a_part_that_a_package_has_no_longer_is_told(installed: Path) -> None:
    (installed / "numpy/f2py").rmdir()

    with pytest.raises(packages.PackagesError, match="numpy/f2py"):
        packages.trim(installed)
