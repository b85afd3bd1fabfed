"""Families are really built, from a module that needs nothing but Go itself."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from ci import procfs
from ci.report import silent
from ci.toolchain import gobuild, manifest, store
from infra import refusal

FAMILY = {
    "version": "1.2.3",
    "seconds": 1,
    "disk_gib": 1,
    "memory_gib": 1,
    "ldflags": {"main.version": "v1.2.3"},
    "binaries": {"tiny": "example.test/tiny"},
    "files": {"notes.txt": "docs/notes.txt", "docs": "docs"},
}

BUILD = """
import json, sys
from pathlib import Path
from ci.toolchain import gobuild, manifest
family = manifest.Family.model_validate(json.loads(sys.argv[1]))
say = lambda text, done, total: print(text, flush=True)
gobuild.ensure("tiny", family, say, Path(sys.argv[2]))
"""


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """A module with one program, without requirements."""
    folder = tmp_path / "tiny"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "notes.txt").write_text("kept\n")
    (folder / "go.mod").write_text("module example.test/tiny\n\ngo 1.26\n")
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text(
        'package main\n\nvar version = "unset"\n\nfunc main() { print(version) }\n'
    )
    return folder


def running(folder: Path) -> list[int]:
    """Processes whose working folder is under ``folder`` (Go's compilers and linkers run there)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "cwd").readlink()).startswith(str(folder)):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_a_build_that_was_killed_is_completed_by_the_next_run(cache: Path, wrapper: Path) -> None:
    family = manifest.Family.model_validate(FAMILY)
    child = subprocess.Popen(
        [sys.executable, "-c", BUILD, json.dumps(FAMILY), str(wrapper)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(3)]
        builders = running(wrapper)
        child.send_signal(signal.SIGKILL)
    assert said[-1] == "compiling tiny\n", said
    assert builders
    assert store.find("tiny", family.key(wrapper)) is None
    for builder in builders:  # they end by themselves: nothing of the killed run goes on
        while procfs.lives(builder):
            os.sched_yield()

    entry = gobuild.ensure("tiny", family, silent, wrapper)

    ran = subprocess.run([entry.file("bin/tiny")], capture_output=True, text=True, check=True)
    assert ran.stderr == "v1.2.3"
    assert entry.file("share/notes.txt").read_text() == "kept\n"
    assert entry.file("share/docs/notes.txt").read_text() == "kept\n"
    assert [path.name for path in (cache / "tools").iterdir() if path.is_dir()] == [entry.path.name]


def test_a_build_that_does_not_compile_says_what_the_compiler_said(
    cache: Path, wrapper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / "go"
    compiler.parent.mkdir()
    compiler.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "env) echo go1.99.0 ;;\n"
        "list) echo example.test/tiny ;;\n"
        "build) echo './main.go:3: undefined: nonesuch' >&2; exit 1 ;;\n"
        "esac\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:/usr/bin:/bin")
    family = manifest.Family.model_validate(FAMILY)

    with pytest.raises(gobuild.BuildError, match=r"go build .*\n.*undefined: nonesuch"):
        gobuild.ensure("tiny", family, silent, wrapper)

    assert store.find("tiny", family.key(wrapper)) is None


def test_a_wrapper_without_the_familys_module_is_named(wrapper: Path) -> None:
    (wrapper / "go.mod").write_text("module example.test/other\n\ngo 1.26\n")

    with pytest.raises(gobuild.BuildError, match=r"tiny/go\.mod requires no module"):
        gobuild.module(manifest.Family.model_validate(FAMILY), wrapper)


def test_a_machine_without_go_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(refusal.Refusal, match=r"go is None: it is not on PATH\. Install Go"):
        gobuild.toolchain()


def test_a_go_that_is_too_old_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.9.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(refusal.Refusal, match=r"go is '1\.9\.1': at least 1\.26\.0 is needed"):
        gobuild.toolchain()


def test_one_family_at_a_time_is_built_on_a_machine(cache: Path, wrapper: Path) -> None:
    store.root().mkdir(parents=True)
    command = [sys.executable, "-c", BUILD, json.dumps(FAMILY), str(wrapper)]
    first = ExitStack()
    first.enter_context(store.turn(gobuild.TURN))
    with first, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        assert "another build" in second.stdout.readline()
        assert running(cache) == []
        first.close()
        rest = second.stdout.read()

    assert second.returncode == 0
    assert "compiling tiny" in rest
