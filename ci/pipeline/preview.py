"""What `up` would change, project by project, without changing anything."""

from dataclasses import dataclass
from typing import Any

from ci.pipeline import stacks
from ci.pipeline.steps import Steps
from ci.pipeline.workplace import Project
from infra.environment import Environment

PROJECTS: tuple[Project, ...] = ("platform", "models")
KINDS = ("create", "update", "replace", "delete", "same")


@dataclass(frozen=True)
class Preview:
    """Changes of each project of an environment."""

    environment: str
    projects: dict[str, stacks.Changes]

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
                }
                for name, changes in self.projects.items()
            ],
        }


def run(env: Environment, steps: Steps) -> Preview:
    """Preview both projects, also before a cluster exists."""
    stacks.prepare(env)
    found: dict[str, stacks.Changes] = {}
    for project in PROJECTS:
        with steps.step(f"preview {project}") as report:
            found[project] = stacks.Stack(env, project).preview(report)
    steps.remember()
    return Preview(env.name, found)
