"""Workflows are thin, have few rights, and give a fork nothing."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parent.parent.parent / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
COMMAND = re.compile(
    r"(sudo env \S+ \S+ )?(make [a-z]+|\.venv/bin/yard [a-z]+)( [\w./$={}\"' -]+)?"
)


def workflow(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return document


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_calls_one_make_or_yard_command_that_a_laptop_runs_too(name: str) -> None:
    runs = [step["run"].replace('"PATH=$PATH" "HOME=$HOME"', "A B") for step in steps(name)
            if "run" in step]  # fmt: skip

    assert runs
    assert [run for run in runs if not COMMAND.fullmatch(run)] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_somebody_may_write_is_pasted_into_a_command(name: str) -> None:
    assert [step["run"] for step in steps(name) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_begins_with_no_more_than_the_right_to_read(name: str) -> None:
    assert workflow(name)["permissions"] in ({}, {"contents": "read"})


@pytest.mark.parametrize("name", NAMES)
def test_no_stored_secret_is_used_and_no_run_gets_a_forks_code_with_rights(name: str) -> None:
    text = (FOLDER / name).read_text()

    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert "workflow_run" not in text


def test_a_job_that_takes_a_role_or_writes_is_not_run_for_forks() -> None:
    jobs = workflow("preview.yml")["jobs"]

    for job in jobs.values():
        if "write" in job["permissions"].values():
            assert "head.repo.full_name == github.repository" in job["if"]


def test_the_job_with_a_role_cannot_write_and_the_one_that_writes_has_no_role() -> None:
    jobs = workflow("preview.yml")["jobs"]

    assert jobs["offline"]["permissions"] == {"contents": "read"}
    assert jobs["live"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert jobs["comment"]["permissions"] == {"contents": "read", "pull-requests": "write"}


@pytest.mark.parametrize("name", NAMES)
def test_no_credentials_of_git_stay_in_the_checkout(name: str) -> None:
    checkouts = [step for step in steps(name) if "actions/checkout@" in step.get("uses", "")]

    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_comment_names_the_artifact_that_its_workflow_keeps() -> None:
    uploads = [step for step in steps("preview.yml") if "upload-artifact@" in step.get("uses", "")]

    assert [step["with"]["name"] for step in uploads] == [
        "offline-${{ matrix.environment }}",
        "live-${{ matrix.environment }}",
    ]
