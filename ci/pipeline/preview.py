"""What `up` would change, project by project, without changing anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ci.pipeline import models, platform, stacks, workplace
from ci.pipeline.steps import Steps
from ci.pipeline.workplace import Project
from ci.report import Report, remark
from infra import contract
from infra.environment import Environment

KINDS = ("create", "update", "replace", "delete", "same")


@dataclass(frozen=True)
class Preview:
    """Changes of each project of an environment."""

    environment: str
    projects: dict[str, stacks.Changes]
    refused: dict[str, str] = field(default_factory=dict)
    """What the engine said of each project that the policy pack refused."""
    region: str | None = None
    """Where an account's prices are asked for."""
    offline: str = ""
    """What an offline preview could not know; empty for any other."""

    def steps(self, op: str) -> Iterator[tuple[str, stacks.Step]]:
        """All steps of one kind, each with its project, in an order that stays the same."""
        for project, changes in self.projects.items():
            for step in sorted(changes.steps, key=lambda step: step.urn):
                if step.op == op:
                    yield project, step

    def counts(self) -> dict[str, int]:
        """Resources by what would happen to them, over all projects."""
        return {
            kind: sum(getattr(changes, kind) for changes in self.projects.values())
            for kind in KINDS
        }

    @property
    def changes(self) -> int:
        """How many resources would not stay the same."""
        return sum(number for kind, number in self.counts().items() if kind != "same")

    def document(self) -> dict[str, Any]:
        """The document of ``yard preview --json`` (ci/schemas/preview.json)."""
        return {
            "environment": self.environment,
            "changes": self.counts(),
            "projects": [
                {
                    "name": name,
                    "changes": {kind: getattr(changes, kind) for kind in KINDS},
                    "steps": [
                        {"urn": step.urn, "op": step.op, "paths": list(step.paths)}
                        for step in changes.steps
                    ],
                    "violations": [
                        {"urn": found.urn, "policy": found.policy, "text": found.text}
                        for found in changes.violations
                    ],
                }
                for name, changes in self.projects.items()
            ],
        }


def run(env: Environment, steps: Steps) -> Preview:
    """Preview all projects, also before a cluster exists, also where a policy refuses one."""
    stacks.prepare(env)
    runs: dict[Project, Callable[[Report], stacks.Changes]] = {
        "foundation": stacks.Stack(env, "foundation").preview,
        "platform": lambda report: platform.preview(env, report),
        "models": lambda report: models.preview(env, report),
    }
    found: dict[str, stacks.Changes] = {}
    refused: dict[str, str] = {}
    for project in workplace.projects(env):
        with steps.step(f"preview {project}") as report:
            if project == "platform" and not contract.path(env.name).is_file():
                remark(report, "no cluster is known here: what only it can tell is unknown below")
            try:
                found[project] = runs[project](report)
            except stacks.PolicyError as error:
                found[project] = error.changes
                refused[project] = str(error)
    steps.remember()
    return Preview(env.name, found, refused, region=env.aws.region if env.aws else None)
