"""What yard does around Ansible: facts, progress, records. The hosts themselves: tests/hosts."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from ci.pipeline import hosts, node_probe, playbook, ports
from ci.report import silent
from infra import environment, places
from infra.environment import Environment


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment `local` with a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return environment.load("local")


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_resolvers_on_a_loopback_address_are_no_use_to_a_node(
    env: Environment, tmp_path: Path
) -> None:
    stub = _file(tmp_path / "stub", "nameserver 127.0.0.53\noptions edns0\n")
    real = _file(tmp_path / "real", "search example\nnameserver 192.0.2.1\nnameserver ::1\n")

    assert hosts.resolvers([stub, real], env) == ["192.0.2.1"]


def test_a_machine_without_resolvers_still_names_one(env: Environment, tmp_path: Path) -> None:
    assert hosts.resolvers([tmp_path / "absent"], env) == ["172.30.0.1"]


def test_progress_counts_tasks_that_are_done_and_keeps_changes_and_failures() -> None:
    told: list[tuple[str, int, int]] = []
    lines = [
        '{"task": "containerd : install", "done": 1, "total": 9}',
        '{"changed": "cpu-1", "task": "containerd : install"}',
        '{"task": "kubernetes : start", "done": 2, "total": 9}',
        '{"failed": "gpu-1", "task": "kubernetes : start", "message": "no disk"}',
    ]

    outcome = playbook.follow(lines, lambda *said: told.append(said))

    assert told == [("containerd : install", 0, 9), ("kubernetes : start", 1, 9)]
    assert outcome.changes == ["cpu-1: containerd : install"]
    assert outcome.failures == ["gpu-1: kubernetes : start: no disk"]


def test_a_failed_playbook_names_host_task_message_and_log(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> playbook.Outcome:
        return playbook.Outcome(failures=["gpu-1: kubernetes : start: no disk"])

    monkeypatch.setattr(playbook, "follow", fail)
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(playbook.PlaybookError) as failed:
        playbook.run(env, "hosts", silent)

    assert "gpu-1: kubernetes : start: no disk" in str(failed.value)
    assert str(playbook.log_path(env, "hosts")) in str(failed.value)


def test_a_playbook_that_dies_without_a_word_shows_the_end_of_its_log(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playbook, "FOLDER", Path("/nonexistent"))

    with pytest.raises(playbook.PlaybookError, match="playbooks/hosts"):
        playbook.run(env, "hosts", silent)


def test_the_log_of_a_playbook_belongs_to_the_user_alone(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")

    playbook.run(env, "hosts", silent)

    assert playbook.log_path(env, "hosts").parent.stat().st_mode & 0o077 == 0


def test_hosts_that_no_up_finished_do_not_agree(env: Environment) -> None:
    assert hosts.agrees(env) is False


@pytest.mark.parametrize("record", ["", "{}", '{"digest": "of another time"}'])
def test_a_damaged_or_old_record_does_not_agree(
    env: Environment, record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places.state(env.name) / "hosts"
    folder.mkdir(parents=True)
    (folder / "applied.json").write_text(record)
    monkeypatch.setattr(hosts, "_digest", lambda *_: "of now")

    assert hosts.agrees(env) is False


def test_the_record_goes_before_the_playbook_runs_so_a_killed_one_is_run_again(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places.state(env.name) / "hosts"
    folder.mkdir(parents=True)
    (folder / "applied.json").write_text(json.dumps({"digest": "of now", "nodes": {}}))
    monkeypatch.setattr(hosts, "_facts", lambda *_: {"tools": "/none"})
    monkeypatch.setattr(node_probe, "running", lambda _: ["one", "two", "three"])
    monkeypatch.setattr(ports, "_running", lambda _: nullcontext([]))
    monkeypatch.setattr(ports, "taken", lambda _: False)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(playbook, "run", killed)

    with pytest.raises(KeyboardInterrupt):
        hosts.up(env, {}, silent)

    assert not (folder / "applied.json").exists()
    assert json.loads((folder / "facts.json").read_text()) == {"tools": "/none"}


def test_every_node_is_at_fault_when_no_engine_answers(
    env: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")

    probe = node_probe.probe(env)

    assert set(probe.faults) == {"control-1", "cpu-1", "gpu-1"}
    assert not probe.healthy
