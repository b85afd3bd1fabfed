"""One run of the `pulumi` command, followed through its event log: progress, changes, errors."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ci.report import Report

POLL_SECONDS = 0.1
# Operations that are parts of a replacement; the step `replace` stands for all of them.
_PARTS = {"create-replacement", "delete-replaced", "discard-replaced", "remove-pending-replace"}


class StackError(Exception):
    """A run of Pulumi that failed; the text ends with what its engine said."""


class PolicyError(StackError):
    """A run that the policy pack refused. A preview goes on to its end, and has all its changes."""

    def __init__(self, text: str, changes: "Changes") -> None:
        super().__init__(text)
        self.changes = changes


@dataclass(frozen=True)
class Step:
    """What happens, or would happen, to one resource."""

    urn: str
    op: str
    paths: tuple[str, ...] = ()
    """Property paths that change."""
    metadata: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The engine's own words: state before and after (secrets masked), kind of each change."""

    uncertain: bool = False
    """Whether nobody could say if an update replaces the resource: an offline preview."""

    @property
    def kind(self) -> str:
        """The resource's type, without those of its parents: `kubernetes:apps/v1:Deployment`."""
        return self.urn.split("::")[2].rpartition("$")[2] if self.urn.count("::") > 2 else ""

    @property
    def name(self) -> str:
        """Type and name, as a person says it: `Deployment registry`."""
        kind, _, name = self.urn.rpartition("::")
        return f"{kind.rpartition(':')[2]} {name}"


@dataclass(frozen=True)
class Violation:
    """A resource that breaks a rule of the policy pack."""

    urn: str
    policy: str
    text: str
    """What the rule demands, what is wrong, and the remedy; several lines."""

    def __str__(self) -> str:
        return f"{Step(self.urn, '').name}: policy {self.policy}: {self.text}"


@dataclass
class Changes:
    """Counts and steps of a run."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    same: int = 0
    steps: list[Step] = field(default_factory=list)
    """Everything but what stays the same."""
    unchanged: list[str] = field(default_factory=list)
    """URNs of what stays the same."""
    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the engine warned of."""

    @classmethod
    def untouched(cls, resources: Sequence[Mapping[str, Any]]) -> "Changes":
        """Of a run that was left out: all resources of the state stay the same."""
        return cls(same=len(resources), unchanged=[str(one["urn"]) for one in resources])

    @property
    def none(self) -> bool:
        """Whether all resources stay the same."""
        return not (self.create or self.update or self.replace or self.delete)


@dataclass
class Run:
    """What is gathered from the events of a run."""

    total: int
    """Resources that are expected; 0 when nobody knows."""
    report: Report
    changes: Changes = field(default_factory=Changes)
    errors: list[str] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)
    _pending: dict[str, str] = field(default_factory=dict)
    """What has begun and not ended: it is what a long silence is about."""
    _refreshing: set[str] = field(default_factory=set)

    def take(self, event: dict[str, Any]) -> None:
        """Take one event of the log into account."""
        if found := event.get("resourcePreEvent"):
            self._begin(found["metadata"])
        elif found := event.get("resOutputsEvent"):
            self._end(found["metadata"])
        elif found := event.get("diagnosticEvent"):
            self._said(found)
        elif found := event.get("policyEvent"):
            self._judged(found)
        elif found := event.get("summaryEvent"):
            self._summary(found.get("resourceChanges") or {})

    def _begin(self, step: dict[str, Any]) -> None:
        op = str(step["op"])
        if op == "refresh":
            self._refreshing.add(str(step["urn"]))
        if op == "same":
            self.changes.unchanged.append(str(step["urn"]))
        if op in _PARTS or op in ("same", "refresh"):
            return
        paths = tuple(sorted(step.get("detailedDiff") or step.get("diffs") or ()))
        found = Step(urn=step["urn"], op=op, paths=paths, metadata=step)
        self.changes.steps.append(found)
        # Stacks and components only wait for their children.
        if "kubernetes:" in found.urn or "aws:" in found.urn:
            self._pending[found.urn] = f"{op} {found.name}"
        self._tell(f"{op} {found.name}")

    def _end(self, step: dict[str, Any]) -> None:
        urn, op = str(step["urn"]), str(step["op"])
        self._done.add(urn)
        found = Step(urn=urn, op=op, paths=tuple(sorted(step.get("detailedDiff") or ())))
        # A refresh knows only at its end whether the object differs or is gone.
        if urn in self._refreshing and op != "same":
            self.changes.steps.append(found)
        self._refreshing.discard(urn)
        self._pending.pop(urn, None)
        self._tell(next(iter(self._pending.values()), f"{op} {found.name}"))

    def _said(self, event: dict[str, Any]) -> None:
        text = str(event.get("message", "")).strip()
        if not text:
            return
        urn = str(event.get("urn") or "")
        if event.get("severity") == "error":
            self.errors.append(f"{Step(urn, '').name}: {text}" if urn else text)
        elif event.get("severity") == "warning":
            self.changes.warnings.append(text)
        elif event.get("ephemeral") and urn:
            self._tell(f"{Step(urn, '').name}: {text}")

    def _judged(self, event: dict[str, Any]) -> None:
        urn = str(event.get("resourceUrn") or "")
        found = Violation(urn, str(event["policyName"]), str(event["message"]).strip())
        if event.get("enforcementLevel") == "mandatory":
            self.changes.violations.append(found)
            self.errors.append(str(found))
        else:
            self.changes.warnings.append(str(found))

    def _summary(self, counts: dict[str, int]) -> None:
        self.changes.create = counts.get("create", 0) + counts.get("import", 0)
        self.changes.update = counts.get("update", 0)
        self.changes.replace = counts.get("replace", 0) or counts.get("create-replacement", 0)
        self.changes.delete = counts.get("delete", 0)
        self.changes.same = counts.get("same", 0)

    def _tell(self, text: str) -> None:
        done = len(self._done)
        self.report(text, done, max(self.total, done) if self.total else 0)


def run(command: list[str], folder: Path, environment: dict[str, str], run: Run, log: Path) -> None:
    """Run a `pulumi` command to its end; its whole output goes to ``log``.

    Raises StackError when it fails. Ctrl-C reaches the child too: Pulumi stops in good order, which
    is waited for.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="modelyard-events-") as scratch,
        log.open("w") as output,
    ):
        events = Path(scratch) / "events.jsonl"
        full = [*command, "--event-log", str(events)]
        process = subprocess.Popen(
            full,
            cwd=folder,
            # The flag --event-log is one of Pulumi's debug commands.
            env=os.environ | environment | {"PULUMI_DEBUG_COMMANDS": "true"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            for event in _follow(events, process):
                run.take(event)
        except KeyboardInterrupt:
            process.wait()
            raise
    if process.returncode:
        said = "\n".join(dict.fromkeys(run.errors)) or _tail(log)
        text = f"`{' '.join(command[:2])}` failed:\n{said}\nAll of its output: {log}"
        if run.changes.violations:
            raise PolicyError(text, run.changes)
        raise StackError(text)


def _follow(events: Path, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Events as they are written, until the process ends."""
    rest, position = b"", 0
    ended = False
    while not ended:
        ended = process.poll() is not None
        if events.exists():
            with events.open("rb") as stream:
                stream.seek(position)
                fresh = stream.read()
            position += len(fresh)
            *lines, rest = (rest + fresh).split(b"\n")
            for line in lines:
                if line.strip():
                    yield orjson.loads(line)
        if not ended:
            time.sleep(POLL_SECONDS)
    process.wait()


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
