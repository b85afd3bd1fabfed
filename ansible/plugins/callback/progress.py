"""Tells a program how far a playbook is: one JSON document per line on a file descriptor.

{"task": NAME, "done": N, "total": N}      a task begins; the total is 0 where it is not known
{"changed": HOST, "task": NAME}            a task changed something, or would in a rehearsal
{"failed": HOST, "task": NAME, "message": TEXT}
{"document": VALUE}                       what a task hands to the program
{"plan": [LINE, ...]}                      what the tasks after this one will do, in their order
{"refused": HOST, "where": KEY, "value": VALUE, "rule": TEXT, "remedy": TEXT}
"""

import json
import os
import signal
from typing import Any

from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.playbook.block import Block
from ansible.playbook.play import Play

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: progress
type: notification
short_description: progress of a playbook for a program
description:
  - Writes JSON lines to the file descriptor that MODELYARD_PROGRESS_FD names; silent without it.
options: {}
"""
DESCRIPTOR = "MODELYARD_PROGRESS_FD"
TELLING = ("judge", "backup_check")
"""Actions that may hand over a document, as the last that their playbooks do."""


class CallbackModule(CallbackBase):
    """Counts tasks as the playbook's own files say them; handlers are not counted."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "progress"

    def __init__(self) -> None:
        super().__init__()
        self._descriptor = int(os.environ[DESCRIPTOR]) if DESCRIPTOR in os.environ else None
        self._before: dict[str, int] = {}
        self._done = self._total = 0

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Count what is ahead."""
        for play in playbook.get_plays():
            self._before[play._uuid] = self._total
            self._total += sum(_count(block) for block in play.compile())

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Skip the tasks of plays that found no host."""
        self._done = self._before.get(play._uuid, self._done)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """A task begins on all of its hosts."""
        if _is_meta(task):  # told once per host
            return
        self._done += 1
        # Tasks that are included while it runs were not counted: then nobody knows how many come.
        total = self._total if self._done <= self._total else 0
        self._say({"task": task.get_name(), "done": self._done, "total": total})

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task is done on one host."""
        self._say_document(result)
        if result._result.get("changed"):
            host, task = result._host.get_name(), result._task.get_name()
            self._say({"changed": host, "task": task})

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed on one host."""
        self._say_document(result)
        if not ignore_errors:
            self._say_failed(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host does not answer."""
        self._say_failed(result)

    def _say_document(self, result: Any) -> None:
        if result._task.action in TELLING and "document" in result._result:
            self._say({"document": result._result["document"]})
        if "plan" in result._result and result._task.action == "upgrade_plan":
            self._say({"plan": result._result["plan"]})

    def _say_failed(self, result: Any) -> None:
        said = result._result
        if "refusal" in said:
            self._say({"refused": result._host.get_name(), **said["refusal"]})
            return
        message = "no message: the task hides what it is told" if result._task.no_log else ""
        for key in ("msg", "stderr", "stdout"):
            if not message and said.get(key):
                message = str(said[key])
        if said.get("stderr") and str(said["stderr"]) not in message:
            message += f"\n{said['stderr']}"
        host, task = result._host.get_name(), result._task.get_name()
        self._say({"failed": host, "task": task, "message": message})

    def _say(self, document: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        line = json.dumps(document, cls=AnsibleJSONEncoder) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except BrokenPipeError:
            # Whoever listened was killed, and the environment's lock went with it: somebody else
            # may write to these hosts now.
            os.kill(os.getpid(), signal.SIGTERM)


def _count(block: Block) -> int:
    parts = [*block.block, *block.rescue, *block.always]
    return sum(
        _count(part) if isinstance(part, Block) else int(not _is_meta(part)) for part in parts
    )


def _is_meta(task: Any) -> bool:
    return str(task.action).rsplit(".", 1)[-1] == "meta"
