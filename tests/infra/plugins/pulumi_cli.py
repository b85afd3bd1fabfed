"""The real Pulumi engine with the stand-ins, on a program and a backend of a test's own."""

import json
import os
import signal
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci import procfs
from ci.pipeline import backend, plugins, workplace
from infra import places

PROJECT = "trial"
STACK = "test"
# No command of these tests waits longer: what does, hangs.
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said."""

    code: int
    output: str
    events: list[dict[str, Any]]

    def counts(self) -> dict[str, int]:
        """Resources by what happened to them, from the last summary."""
        found = [event["summaryEvent"] for event in self.events if "summaryEvent" in event]
        assert found, self.output
        return {op: number for op, number in found[-1]["resourceChanges"].items() if number}

    def steps(self) -> dict[str, str]:
        """Operation by resource name; parts of a replacement are joined by spaces, in order."""
        steps: dict[str, str] = {}
        for event in self.events:
            if found := event.get("resourcePreEvent"):
                name = found["metadata"]["urn"].rpartition("::")[2]
                op = found["metadata"]["op"]
                steps[name] = f"{steps[name]} {op}" if name in steps else op
        return steps

    def paths(self, name: str) -> set[str]:
        """Property paths that the diff of a resource names."""
        found: set[str] = set()
        for event in self.events:
            metadata = (event.get("resourcePreEvent") or event.get("resOutputsEvent") or {}).get(
                "metadata", {}
            )
            if metadata.get("urn", "").endswith(f"::{name}"):
                found |= set(metadata.get("detailedDiff") or {})
        return found


def install(folder: Path) -> dict[str, str]:
    """Put engine, language host and provider into ``folder``; returns the variables they need."""
    for name in ("bin", "home"):
        (folder / name).mkdir()
    workplace.commands(folder / "bin")
    plugins.stand_in(folder / "home")
    (folder / "passphrase").write_text("only a test's")
    return {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DEBUG_COMMANDS": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


class Engine:
    """One project with one stack."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder / "program"
        self._backend = folder / "backend"
        self.folder.mkdir(parents=True)
        self._backend.mkdir()
        self.variables = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("PULUMI_") and key != "KUBECONFIG"
        } | variables
        self.variables["PULUMI_BACKEND_URL"] = backend.address(self._backend)
        self.project()
        self.command("stack", "init", STACK, check=True)

    def project(self, **options: object) -> None:
        """Write the project file; by default programs run in the repository's environment."""
        virtualenv = options.pop("virtualenv", str(places.REPOSITORY / ".venv"))
        document = {
            "name": PROJECT,
            "runtime": {"name": "python", "options": {"virtualenv": virtualenv, **options}},
        }
        (self.folder / "Pulumi.yaml").write_text(json.dumps(document))

    def program(self, text: str) -> None:
        """Write the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(text))

    def up(self, *options: str, check: bool = True) -> Result:
        """`pulumi up`."""
        return self.command("up", "--yes", "--skip-preview", *options, check=check)

    def preview(self, *options: str, check: bool = True) -> Result:
        """`pulumi preview`."""
        return self.command("preview", *options, check=check)

    def refresh(self, *options: str, check: bool = True) -> Result:
        """`pulumi refresh`."""
        return self.command("refresh", "--yes", "--skip-preview", *options, check=check)

    def destroy(self, *options: str, check: bool = True) -> Result:
        """`pulumi destroy`."""
        return self.command("destroy", "--yes", "--skip-preview", *options, check=check)

    def command(self, *arguments: str, check: bool = False) -> Result:
        """Any command; with ``check`` a failure is a failed test."""
        events = self.folder.parent / "events.jsonl"
        events.unlink(missing_ok=True)
        with self._start(arguments, events) as process:
            try:
                output, _ = process.communicate(timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                output = f"killed after {COMMAND_SECONDS} s:\n{process.communicate()[0]}"
        assert not check or process.returncode == 0, output
        found = (
            [json.loads(line) for line in events.read_text().splitlines()]
            if (events.exists())
            else []
        )
        return Result(process.returncode, output, found)

    def start(self, *arguments: str) -> "Running":
        """Start a command and leave it running."""
        events = self.folder.parent / "events.jsonl"
        events.unlink(missing_ok=True)
        return Running(self._start(arguments, events))

    def _start(self, arguments: tuple[str, ...], events: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._full(arguments, events),
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A test's Ctrl-C goes to this command alone.
            start_new_session=True,
        )

    def _full(self, arguments: tuple[str, ...], events: Path) -> list[str]:
        logged = arguments[0] in ("up", "preview", "refresh", "destroy", "import")
        options = ["--event-log", str(events)] if logged else []
        return ["pulumi", *arguments, *options, "--non-interactive", "--color", "never"]

    @property
    def state_file(self) -> Path:
        """The file that holds the stack's state."""
        return self._backend / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"

    def state(self) -> dict[str, Any]:
        """The stack's state, secrets encrypted."""
        latest: dict[str, Any] = json.loads(self.state_file.read_text())["checkpoint"]["latest"]
        return latest

    def resource(self, name: str) -> dict[str, Any]:
        """A resource of the state by its name."""
        found = [
            entry
            for entry in self.state()["resources"]
            if entry["urn"].endswith(f"::{name}") and not entry.get("delete")
        ]
        assert len(found) == 1, [entry["urn"] for entry in self.state()["resources"]]
        return dict(found[0])

    def unlock(self) -> None:
        """Remove the lock that a killed command left."""
        self.command("cancel", "--yes", check=True)


class Running:
    """A command that runs beside the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def children(self, name: str) -> list[int]:
        """Process ids of plugins that this command started, by a part of their command line."""
        return [
            process
            for process, stat in procfs.every().items()
            if stat.parent == self.process.pid and name in procfs.command(process)
        ]

    def kill(self) -> None:
        """Kill the engine, not its plugins, as the kernel does when memory is short."""
        self.process.kill()
        self.process.communicate()

    def interrupt(self) -> str:
        """Ctrl-C; returns what the command said."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=120)[0]
