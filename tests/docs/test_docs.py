"""What the documents say is so: links lead somewhere, paths exist, commands are commands."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ci.yard import reference
from ci.yard.main import app

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))

BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)[^)]*\)")
PATH = re.compile(r"`((?:ci|infra|services|tests|docs|bentos|ansible)/[\w./-]+)`")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def commands(page: Path) -> list[str]:
    """Every `yard` and `make` command of a page: of its blocks and between backticks."""
    text = page.read_text()
    lines = [
        line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
    found = [
        re.search(r"(?:^|&& |\(|\s)((?:\.venv/bin/)?yard [a-z].*|make [a-z]+.*)", line)
        for line in lines
    ]
    return [match[1].split(")")[0].split("#")[0].strip(' "') for match in found if match]


PAGE_COMMANDS = [
    (page.relative_to(ROOT).as_posix(), command) for page in PAGES for command in commands(page)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = [page.parent / target for target in LINK.findall(page.read_text())]

    assert [link for link in links if not link.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_that_a_page_names_exist(page: Path) -> None:
    named = [path for path in PATH.findall(page.read_text()) if "NAME" not in path]

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("page", "command"), PAGE_COMMANDS)
def test_a_documented_command_is_one_that_exists(page: str, command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), page
        return
    known = set(reference.names(app))
    assert words[1] in known, page
    help_page = (ROOT / "docs/reference/cli.md").read_text()
    section = help_page.split(f"## yard {words[1]}")[1].split("\n## ")[0]
    assert [word for word in words if word.startswith("--") and word not in section] == []


def test_the_documents_name_commands_at_all() -> None:
    assert len(PAGE_COMMANDS) > 20


def test_the_reference_of_commands_is_current() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()

    assert page == reference.page(), "run what ci/yard/reference.py says at its top"


def test_the_readme_begins_with_what_it_is_and_keeps_the_order() -> None:
    headings = re.findall(r"^#+ (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert headings[0] == "modelyard"
    assert [heading.split()[0] for heading in headings[1:]] == ["What", "Five", "The", "Read"]


def test_the_readme_reaches_a_prediction_in_five_commands() -> None:
    block = BLOCK.findall((ROOT / "README.md").read_text())[0]

    assert len(block.splitlines()) == 5
    assert ".venv/bin/yard predict" in block


def test_no_file_names_the_host_of_a_package_registry() -> None:
    # Written in two parts: this file is in the tree, too.
    hosts = [
        "pypi" + ".org", "python" + "hosted", "proxy" + ".golang", "sum" + ".golang",
        "npm" + "js.org", "deb" + ".debian.org", "crates" + ".io", "repo1" + ".maven",
        "repo" + ".maven", "archive" + ".ubuntu",
    ]  # fmt: skip
    faults = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        for host in hosts
        if host.encode() in path.read_bytes()
    ]

    assert faults == []


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name.split("-")[0] for path in (ROOT / "docs/adr").glob("*.md")]

    assert len(numbers) == len(set(numbers)) > 0


def test_workflows_pin_every_action_by_commit() -> None:
    used = [
        line.split("uses:")[1]
        for path in (ROOT / ".github/workflows").glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]

    assert used
    assert [name for name in used if not re.search(r"@[0-9a-f]{40} # v", name)] == []
