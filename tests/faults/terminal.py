"""A `yard` on a terminal of its own: it then says five times a second what it is at."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra import places

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x00]")
SIZE = struct.pack("HHHH", 50, 400, 0, 0)
"""Rows and columns: a live line is cut off where the terminal ends."""
YARD = places.REPOSITORY / ".venv/bin/yard"


class Watched:
    """A running command, what it has said so far, and the signal that ends all of its group."""

    def __init__(
        self,
        *arguments: str,
        program: Sequence[str | Path] = (YARD,),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = [*map(str, program), *arguments]
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
        self._said = ""
        self.process = subprocess.Popen(
            self.command,
            cwd=places.REPOSITORY,
            env={**os.environ, "TERM": "xterm", **(environment or {})},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,  # a process group of its own, as a shell gives each command
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.kill()

    @property
    def said(self) -> str:
        """Everything that it wrote, without the terminal's control codes."""
        return self._said

    def until_says(self, pattern: str, *, seconds: float = 600) -> str:
        """Wait until it says something; raises when it ends before, or takes too long."""
        wanted = re.compile(pattern)
        end = time.monotonic() + seconds
        while not (found := wanted.search(self._said)):
            if self.process.poll() is not None:
                self._reader.join()
                if found := wanted.search(self._said):
                    break
                raise AssertionError(f"it ended without saying {pattern!r}:\n{self.tail()}")
            if time.monotonic() > end:
                raise AssertionError(f"in {seconds} s it never said {pattern!r}:\n{self.tail()}")
            time.sleep(0.02)
        return found[0]

    def kill(self) -> None:
        """SIGKILL to the whole process group, as `kill -9 -- -PGID` does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=5)

    def finish(self, *, seconds: float = 1200) -> int:
        """Wait for its end; returns the exit status."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not done in {seconds} s:\n{self.tail()}") from None
        self._reader.join(timeout=5)
        return code

    def tail(self, lines: int = 40) -> str:
        """Its command and its last different lines, for the message of a failed assertion."""
        unique = list(dict.fromkeys(line.rstrip() for line in self._said.splitlines()))
        return "\n".join([" ".join(self.command), *unique[-lines:]])

    def _read(self, terminal: int) -> None:
        with os.fdopen(terminal, "rb", buffering=0) as stream:
            while True:
                try:
                    piece = stream.read(65536)
                except OSError:  # the terminal's other end is closed
                    return
                if not piece:
                    return
                # A live line begins by clearing the one before: each becomes a line of its own.
                plain = CONTROL.sub(b"", piece.replace(b"\x1b[2K", b"\n"))
                self._said += plain.decode(errors="replace")
