"""Previews that ask nobody: what two commits ask for, and what nobody can know."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci.pipeline import markdown, offline, workplace
from ci.pipeline.events import Changes, Step
from ci.pipeline.preview import Preview
from ci.pipeline.steps import Steps
from ci.report import Report, silent
from infra import environment, places
from infra.refusal import Refusal

URN = "urn:pulumi:dev::modelyard::aws:s3/bucket:Bucket::"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def graph(**resources: dict[str, Any]) -> Changes:
    """A graph as a preview from nothing tells it."""
    steps = [
        Step(URN + name, "create", metadata={"new": {"inputs": inputs}})
        for name, inputs in resources.items()
    ]
    return Changes(create=len(steps), steps=steps)


def told(before: Changes, after: Changes) -> dict[str, tuple[str, tuple[str, ...], bool]]:
    found = offline.difference(before, after)
    return {
        step.urn.removeprefix(URN): (step.op, step.paths, step.uncertain) for step in found.steps
    }


def test_what_is_only_in_one_graph_is_created_or_deleted() -> None:
    found = offline.difference(graph(kept={"a": 1}, gone={}), graph(kept={"a": 1}, new={}))

    assert {step.urn.removeprefix(URN): step.op for step in found.steps} == {
        "new": "create",
        "gone": "delete",
    }
    assert (found.create, found.update, found.delete, found.same) == (1, 0, 1, 1)
    assert found.unchanged == [URN + "kept"]


def test_a_changed_input_is_an_update_of_which_nobody_knows_whether_it_replaces() -> None:
    before = graph(bucket={"name": "a", "tags": {"x": "1", "old": "1"}})
    after = graph(bucket={"name": "b", "tags": {"x": "1", "new": "1"}})

    assert told(before, after) == {"bucket": ("update", ("name", "tags.new", "tags.old"), True)}


def test_what_is_unknown_on_both_sides_is_no_change() -> None:
    same = graph(policy={"bucket": UNKNOWN})

    assert told(same, same) == {}


def test_the_comment_shows_values_and_says_that_a_change_may_replace() -> None:
    found = offline.difference(graph(bucket={"name": "a"}), graph(bucket={"name": UNKNOWN}))
    text = markdown.full(Preview("dev", {"foundation": found}, offline="Nobody was asked."))

    assert "<code>bucket</code> · change; may replace</summary>" in text
    assert '- name: "a"\n+ name: not known yet' in text


def test_violations_are_those_of_the_change() -> None:
    after = graph(bucket={})
    after.violations = [object()]  # type: ignore[list-item]

    assert offline.difference(graph(), after).violations == after.violations


def test_offline_there_are_no_credentials_no_state_and_no_settings_of_pulumi(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"AWS_PROFILE": "admin", "PULUMI_STACK": "prod", "KUBECONFIG": "/k", "KEPT": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)

    with offline._nowhere():
        here = dict(os.environ)
        assert list(places.state("prod").parent.parent.iterdir()) == []
    assert not set(here) & {"AWS_PROFILE", "PULUMI_STACK", "KUBECONFIG"}
    assert here["KEPT"] == "1"
    assert dict(os.environ) == before
    assert not Path(here["XDG_STATE_HOME"]).exists()


def test_a_commit_that_does_not_exist_is_refused_with_the_remedy() -> None:
    with (
        pytest.raises(Refusal, match=r"--against is 'nowhere'.*git fetch"),
        offline._checkout("nowhere"),
    ):
        pass


def test_an_option_in_place_of_a_commit_is_no_option_of_git(tmp_path: Path) -> None:
    with pytest.raises(Refusal), offline._checkout(f"--output={tmp_path / 'stolen'}"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_commit_is_laid_out_beside_this_checkouts_environment() -> None:
    with offline._checkout("HEAD") as root:
        assert (root / "Pulumi.yaml").is_file()
        assert (root / ".venv" / "bin" / "python").exists()
        assert not (root / ".git").exists()
    assert not root.exists()
    assert (places.REPOSITORY / ".venv" / "bin" / "python").exists()


def test_a_commit_that_knows_not_the_environment_has_no_projects(tmp_path: Path) -> None:
    env = environment.load("test")

    assert offline._projects(env, tmp_path) == []
    (tmp_path / "Pulumi.test.yaml").touch()
    assert offline._projects(env, tmp_path) == []
    (tmp_path / "Pulumi.yaml").touch()
    assert offline._projects(env, tmp_path) == ["platform"]


class _Silent:
    def begin(self, step: str, expected: float | None) -> Report:
        return silent

    def end(self, step: str, seconds: float, failed: bool) -> None:
        pass


@pytest.mark.apiserver
def test_the_real_engine_shows_what_a_commit_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides are commits of a copy: one namespace differs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(places.cache().parent))
    copy = tmp_path / "copy"
    with offline._checkout("HEAD") as root:
        root.rename(copy)
    git = ["git", "-C", str(copy), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "-A", ":!.venv"], ["commit", "-q", "-m", "before"]):
        subprocess.run([*git, *command], check=True)
    names = copy / "infra" / "platform" / "namespaces.py"
    before = names.read_text()
    names.write_text(before.replace("pods=quota.pods,", "pods=quota.pods + 1,"))
    assert names.read_text() != before
    monkeypatch.setattr(places, "REPOSITORY", copy)
    monkeypatch.setattr(
        workplace,
        "FOLDERS",
        {"platform": copy, "models": copy / "infra" / "models"},
    )

    found = offline.run(environment.load("test"), Steps(_Silent()), "HEAD")

    (step,) = [step for changes in found.projects.values() for step in changes.steps]
    assert (step.op, step.paths, step.uncertain) == ("update", ("spec.hard.pods",), True)
    assert step.name == "ResourceQuota namespaces-models-quota"
    assert found.refused == {}
    assert found.counts()["same"] > 100
    assert found.offline.startswith("Neither an account nor a cluster nor a state was asked")
