"""Imports go one way: services and infra know nothing of ci; services know nothing of infra."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

KUBERNETES_ALONE = {"ci", "services", "ansible", "pulumi_aws"}
"""Of projects whose runs leave out the policies about accounts (infra/policy/pack.py)."""

FORBIDDEN = {
    "infra": {"ci", "services", "ansible"},
    "services": {"ci", "infra", "pulumi", "ansible"},
    "infra/platform": KUBERNETES_ALONE,
    "infra/models": KUBERNETES_ALONE,
    "infra/plugins": {"ci", "services", "bentoml"},
    "ci/toolchain": {"services", "bentoml", "pulumi"},
}
"""What the code of a folder must not import (top-level names)."""


def imported(source: str, package: str = "") -> set[str]:
    """Top-level names of all imports of a module, also of those inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0] if node.level == 0 else package)
    return names - {""}


def modules(folder: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", f"{folder}/**"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return [ROOT / name for name in listed if _is_python(ROOT / name)]


def _is_python(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix:
        return path.suffix == ".py"
    with path.open("rb") as stream:
        first = stream.readline()
    return first.startswith(b"#!") and b"python" in first


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_imports_only_what_lies_below_it(folder: str) -> None:
    faults = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(folder)
        for name in imported(path.read_text()) & FORBIDDEN[folder]
    }

    assert faults == set()


def test_the_lint_sees_imports_inside_functions() -> None:
    assert imported("def f():\n    from ci.yard import main\n") == {"ci"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    paths = [path for folder in ("ci", "infra", "services", "tests") for path in modules(folder)]

    assert not [path for path in paths if path.stem in {"utils", "helpers", "common", "misc"}]
