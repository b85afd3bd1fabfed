"""`make setup` without its minute of work: what it refuses, and what it must not trust."""

import subprocess
from pathlib import Path

import pytest

from infra import places

SETUP = places.REPOSITORY / "ci" / "setup.sh"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A Python that is too old."""
    path = tmp_path / "python3.9"
    path.write_text('#!/bin/sh\n[ "$1" != --version ] || { echo Python 3.9.2; exit; }\nexit 1\n')
    path.chmod(0o755)
    return path


def test_an_old_python_is_refused_with_its_version_and_a_remedy(old: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [SETUP, old],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "python is Python 3.9.2: modelyard needs Python 3.11 or newer" in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (tmp_path / ".cache").exists()


def test_programs_of_the_environment_look_for_their_python_beside_themselves() -> None:
    programs = places.REPOSITORY / ".venv" / "bin"
    for name in ("yard", "ansible-playbook", "pytest", "bentoml"):
        first = (programs / name).read_bytes().split(b"\n", 1)[0]
        assert first == b"#!/bin/sh", f"{name} begins with {first!r}"
