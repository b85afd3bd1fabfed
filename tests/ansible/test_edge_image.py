"""Which image an edge host is told to run, and which it chooses by itself."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from infra import environment
from infra.models import release
from infra.refusal import Refusal
from tests.ansible.command import ANSIBLE
from tests.ansible.test_roles import _plugin

DIGEST, OTHER = (f"sha256:{64 * letter}" for letter in "ab")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program of the unit, with files of the test's and a host that has every image."""
    path = ANSIBLE / "roles/edge_service/files/edge.py"
    specification = importlib.util.spec_from_file_location("edge", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    for name in ("WANTED", "CHOSEN", "GOOD", "PREVIOUS", "FAILED"):
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "STATE", tmp_path)
    monkeypatch.setattr(module, "present", lambda image: True)
    monkeypatch.setenv("SERVICE_RESULT", "exit-code")
    _write(module.WANTED, DIGEST)
    return module


def _write(path: Path, digest: str) -> None:
    path.write_text(f"# why\nMODELYARD_IMAGE=r/digits@{digest}\nMODELYARD_DIGEST={digest}\n")


def test_the_first_image_of_a_host_is_tried_again_for_ever(program: ModuleType) -> None:
    for _ in range(2):
        program.choose()
        program.stopped()

    assert program.digest(program.CHOSEN) == DIGEST


def test_an_image_that_failed_before_it_was_good_gives_way_to_the_last_good_one(
    program: ModuleType,
) -> None:
    _write(program.GOOD, OTHER)

    program.choose()
    assert program.digest(program.CHOSEN) == DIGEST
    program.stopped()
    program.choose()

    assert program.digest(program.CHOSEN) == OTHER


def test_an_image_that_was_good_once_is_started_again_after_a_crash(program: ModuleType) -> None:
    _write(program.GOOD, DIGEST)

    program.choose()
    program.stopped()
    program.choose()

    assert program.failed() == ""
    assert program.digest(program.CHOSEN) == DIGEST


def test_an_image_that_was_stopped_while_it_started_has_not_failed(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_RESULT", "success")

    program.choose()
    program.stopped()

    assert program.failed() == ""


def test_an_image_that_is_not_on_the_host_gives_way_without_a_try(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(program.GOOD, OTHER)
    monkeypatch.setattr(program, "present", lambda image: False)

    program.choose()

    assert program.digest(program.CHOSEN) == OTHER


def test_an_answer_of_something_else_on_the_port_is_none(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "get", lambda url: f'modelyard_model_info{{digest="{OTHER}"}} 1')

    assert program.unready("http://127.0.0.1:3000", DIGEST).startswith("something else")
    assert program.unready("http://127.0.0.1:3000", OTHER) == ""


def _release(**more: Any) -> release.Release:
    serving = {"version": "1.0.0", "digest": DIGEST, "report": DIGEST}
    return release.Release(
        name="digits",
        resources=release.Resources(cpu="250m", memory="384Mi"),
        **serving | more,
    )


@pytest.fixture
def lookup() -> ModuleType:
    """The plugin that reads a release file for a playbook."""
    return _plugin("lookup/release.py")


def test_an_edge_host_runs_what_is_stable_and_never_a_canary(
    lookup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    env = environment.load("test")
    before = _release().serving
    release.write(env, _release(version="1.1.0", digest=OTHER, weight=10, previous=before))

    assert lookup.serving(env, "digits").digest == DIGEST


def test_an_edge_host_without_a_release_or_a_gpu_is_refused(
    lookup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    env = environment.load("test")
    with pytest.raises(Refusal, match="there is none in test"):
        lookup.serving(env, "digits")

    release.write(env, _release(pool="gpu", gpus=1))

    with pytest.raises(Refusal, match="give a service no GPU"):
        lookup.serving(env, "digits")
