"""Pulumi's stacks of an environment: preview, up, refresh, destroy, with progress.

    stacks.prepare(env)
    changes = stacks.Stack(env, "platform").up(report)

What may write (`up`, `refresh`, `destroy`) is to be called while holding the environment's lock
(ci.pipeline.lock): only then is a lock that a killed run left behind known to be stale.
"""

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ci.pipeline import backend, events, plugins, workplace
from ci.pipeline.events import Changes, PolicyError, StackError, Step
from ci.pipeline.workplace import Project
from ci.report import Report, remark
from infra.contract import Contract
from infra.environment import Environment
from infra.plugins.kubernetes import drift, live, objects
from infra.plugins.kubernetes.cluster import Cluster, Settings
from infra.plugins.kubernetes.errors import ClusterError
from infra.policy import PROJECT

__all__ = [
    "Changes",
    "Focus",
    "PolicyError",
    "Stack",
    "StackError",
    "Step",
    "drifted",
    "engine_environment",
    "prepare",
]

prepare = workplace.prepare


def engine_environment(env: Environment) -> dict[str, str]:
    """All variables that plain `pulumi` needs; `yard env` prints them."""
    workplace.prepare(env)
    return workplace.environment(env)


def drifted(
    facts: Contract, objects: Iterable[dict[str, Any]], *, applied: bool = False
) -> set[str]:
    """URNs of a state's objects that the cluster has otherwise: :func:`drift.drifted`.

    Raises StackError when the cluster does not answer.
    """
    cluster = Cluster(Settings(kubeconfig=str(facts.kubeconfig)))
    try:
        return drift.drifted(cluster, list(objects), applied=applied)
    except ClusterError as error:
        raise StackError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Focus:
    """What a run is about: URNs with their children, and how the program hears of it.

    The engine leaves all else as the state has it, also what the program does not register.
    """

    targets: list[str]
    variables: dict[str, str]

    @property
    def options(self) -> list[str]:
        """As options of `pulumi`."""
        return ["--target-dependents", *(f"--target={urn}" for urn in self.targets)]


# The engine writes the whole state before and after every object that it makes, which for 300
# services takes 20 minutes. What a killed run leaves out of the state, the stand-in takes up again:
# it knows what it made by an annotation (infra/plugins/README.md), and changes may be repeated.
# The vendor's plugin could not, so its state is written each time.
ONCE = {"PULUMI_SKIP_CHECKPOINTS": "true"}

# A fourth of the engine's time with a large state went into collecting garbage.
LAZY = {"GOGC": "300"}

SETTINGS: dict[plugins.Kind, dict[Project, dict[str, str]]] = {
    "stand-in": {"platform": {}, "models": ONCE | LAZY},
    "vendor": {"foundation": {}, "platform": {}, "models": LAZY},
}
"""How the engine runs, by who made its plugins, and by project."""


class Stack:
    """One stack: the platform of an environment, or its models.

    Its state is read once, and again after a run of the engine: 300 models' takes a quarter of a
    second, an account's a request.
    """

    def __init__(self, env: Environment, project: Project) -> None:
        self._env, self._project = env, project
        self._folder = workplace.FOLDERS[project]
        self._name = workplace.NAMES[project]
        self._backend = backend.of(env)
        self._known: dict[str, Any] | None = None

    def preview(self, report: Report, focus: Focus | None = None) -> Changes:
        """What `up` would change; changes nothing. Works before the cluster exists."""
        self.unlock()
        return self._run("preview", [], report, focus)

    def up(self, report: Report, focus: Focus | None = None) -> Changes:
        """Make the cluster what the program says; finishes what a killed run began."""
        self._settle(report)
        return self._run("up", ["--yes", "--skip-preview"], report, focus)

    def refresh(self, report: Report) -> Changes:
        """Take over into the state what the cluster has."""
        self._settle(report)
        return self._run("refresh", ["--yes", "--skip-preview"], report)

    def destroy(self, report: Report) -> Changes:
        """Delete everything that the stack made; the stack itself stays."""
        self._settle(report)
        return self._run("destroy", ["--yes", "--skip-preview"], report)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in plain text; {} before the first `up`."""
        command = ["stack", "output", "--json", "--show-secrets"]
        done = subprocess.run(
            self._command(*command),
            cwd=self._folder,
            env=self._variables(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StackError(f"`pulumi stack output` failed:\n{done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found

    def resources(self) -> list[dict[str, Any]]:
        """The resources of the state, secrets encrypted; a parent stands before its children."""
        return list(self._latest().get("resources") or [])

    def unfinished(self) -> bool:
        """Whether a killed run left operations whose outcome nobody knows."""
        return bool(self._latest().get("pending_operations"))

    def _run(
        self, verb: str, options: list[str], report: Report, focus: Focus | None = None
    ) -> Changes:
        run = events.Run(total=len(self.resources()), report=report)
        if focus is not None:
            options = [*options, *focus.options]
        command = self._command(verb, *options, "--non-interactive", "--color", "never", "--diff")
        log = workplace.state(self._env) / "logs" / f"pulumi-{verb}-{self._project}.log"
        report(f"{verb} {self._project}", 0, 0)
        variables = workplace.environment(self._env)
        variables |= SETTINGS[plugins.kind(self._env)][self._project]
        variables[PROJECT] = self._name
        variables |= focus.variables if focus else {}
        try:
            events.run(command, self._folder, variables, run, log)
        finally:
            self._known = None
        for warning in dict.fromkeys(run.changes.warnings):
            remark(report, f"warning: {warning}")
        return run.changes

    def _command(self, *arguments: str) -> list[str]:
        return [str(workplace.state(self._env) / "bin" / "pulumi"), *arguments]

    def _variables(self) -> dict[str, str]:
        return os.environ | workplace.environment(self._env)

    def _settle(self, report: Report) -> None:
        """Clean up after a killed run: its lock, and creations whose outcome nobody knows."""
        self.unlock()
        pending = self._pending_creates()
        if not pending:
            return
        if lost := [urn for urn in pending if "aws:" in urn.split("::")[2]]:
            raise StackError(
                "A killed run left creations whose outcome nobody knows:\n"
                + "\n".join(f"  {urn}" for urn in lost)
                + f"\nLook in the account. `pulumi refresh` in {self._folder} asks for the id of "
                f"each, or forgets it; `yard env {self._env.name}` prints what it needs."
            )
        report("asking the cluster what a killed run has made", 0, 0)
        options = ["--yes", "--skip-preview", "--clear-pending-creates"]
        for urn, identifier in pending.items():
            if identifier:
                options += ["--import-pending-creates", urn, "--import-pending-creates", identifier]
        self._run("refresh", options, report)

    def unlock(self) -> None:
        """Remove locks of processes that are gone; refuse while one lives."""
        self._backend.unlock(self._name)

    def _pending_creates(self) -> dict[str, str | None]:
        """URNs of unfinished creations, with the id of the object where the cluster has it."""
        found: dict[str, str | None] = {}
        for operation in self._latest().get("pending_operations") or []:
            if operation.get("type") != "creating":
                continue
            resource = operation["resource"]
            found[resource["urn"]] = self._made(resource)
        return found

    def _made(self, resource: dict[str, Any]) -> str | None:
        if not str(resource["type"]).startswith("kubernetes:"):
            return None
        cluster = Cluster(Settings(kubeconfig=str(workplace.state(self._env) / "kubeconfig")))
        reference = objects.reference(resource.get("inputs") or {}, token=resource["type"])
        return reference.id if live.find(cluster, reference) else None

    def _latest(self) -> dict[str, Any]:
        if self._known is None:
            document = self._backend.document(self._name) or {}
            self._known = document.get("checkpoint", {}).get("latest") or {}
        return self._known
