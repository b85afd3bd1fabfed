"""Run one Ansible playbook: progress from its own task counts, everything it says in a log file."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci.report import Report, remark
from infra import places
from infra.environment import Environment
from infra.refusal import Refusal

FOLDER = places.REPOSITORY / "ansible"
TAIL_LINES = 25


class PlaybookError(Exception):
    """A playbook that failed; the text names host, task and message, and where the log is."""


@dataclass
class Outcome:
    """What a playbook did, or would do in a rehearsal: ``HOST: ROLE : TASK`` of each change."""

    changes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    document: dict[str, Any] | None = None
    """What the playbook found out, of one that looks and changes nothing."""


def environment() -> dict[str, str]:
    """Variables that plain ansible-playbook needs, too; `yard env` prints them."""
    return {"ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg")}


def log_path(env: Environment, playbook: str) -> Path:
    """Where the last run of a playbook is written down."""
    return places.state(env.name) / "logs" / f"{playbook}.log"


def run(env: Environment, playbook: str, report: Report, *arguments: str) -> Outcome:
    """Run a playbook of ansible/playbooks on the environment's inventory.

    Raises PlaybookError when it fails, Refusal for what the inventory says or a host is.
    ``arguments`` are ansible-playbook's own.
    """
    log = log_path(env, playbook)
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    inventory = FOLDER / "inventories" / str(env.cluster.inventory)
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "ansible", "playbook", "--inventory", str(inventory)]
    command += [str(FOLDER / "playbooks" / f"{playbook}.yml"), *arguments]
    sockets = Path(tempfile.mkdtemp(prefix="yard-ssh-"))
    own = {
        # Short, because a socket's path has at most 107 characters.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "MODELYARD_ENVIRONMENT": env.name,
        "MODELYARD_PROGRESS_FD": str(writer),
        "ANSIBLE_CALLBACKS_ENABLED": "progress,ansible.posix.profile_tasks",
        "ANSIBLE_NOCOLOR": "1",
        # Ansible refuses to start under another encoding.
        "LC_ALL": "C.UTF-8",
    }
    with log.open("w") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {' '.join(command)}\n")
        file.flush()
        with subprocess.Popen(
            command,
            cwd=places.REPOSITORY,
            env=os.environ | environment() | own,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
        ) as process:
            os.close(writer)
            try:
                with os.fdopen(reader) as lines:
                    outcome = follow(lines, report)
            except BaseException:
                process.terminate()
                raise
            finally:
                process.wait()
                _close(sockets)
    if outcome.refusals:
        raise outcome.refusals[0]
    if process.returncode and outcome.document is None:
        raise PlaybookError(_failure(playbook, outcome, log))
    return outcome


def _close(sockets: Path) -> None:
    """End the SSH connections that Ansible keeps open, so that no process stays behind."""
    for socket in sockets.glob("*"):
        # The name of the host is asked for and not used. One that ended by itself fails, rightly.
        subprocess.run(["ssh", "-S", socket, "-O", "exit", "host"], capture_output=True)
    shutil.rmtree(sockets)


def follow(lines: Any, report: Report) -> Outcome:
    """Turn the progress plugin's lines into reports and an outcome."""
    outcome = Outcome()
    for line in lines:
        said = json.loads(line)
        if "done" in said:
            # The plugin tells a task's beginning: what is done is one less.
            report(said["task"], said["done"] - 1, said["total"])
        elif "failed" in said:
            outcome.failures.append(f"{said['failed']}: {said['task']}: {said['message']}")
        elif "document" in said:
            outcome.document = said["document"]
        elif "plan" in said:
            for text in said["plan"]:
                remark(report, text)
        elif "refused" in said:
            parts = (said[key] for key in ("where", "value", "rule", "remedy"))
            outcome.refusals.append(Refusal(*parts))
        elif "changed" in said:
            outcome.changes.append(f"{said['changed']}: {said['task']}")
    return outcome


def _failure(playbook: str, outcome: Outcome, log: Path) -> str:
    if outcome.failures:
        said = "\n".join(outcome.failures)
    else:
        said = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    return (
        f"the playbook {playbook} failed:\n{said}\n"
        f"Everything it said stands in {log}. Running the command again continues where it stopped."
    )
