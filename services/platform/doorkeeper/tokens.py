"""Bearer tokens, known only by their hashes."""

import hashlib
import hmac
import re
from pathlib import Path

SHA256 = re.compile(r"[0-9a-f]{64}")


class UnsoundTokens(Exception):  # noqa: N818 - it names the fault, not the class of faults
    """The token file is missing or holds something else than hashes; nobody can be let in."""


class Tokens:
    """The hashes in a mounted Secret file, one per line, read again when the file changes.

    Several lines are allowed, so that a token can be rotated: the old and the new one both open
    until the old line is removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._hashes: tuple[bytes, ...] = ()

    def hashes(self) -> tuple[bytes, ...]:
        """Hashes that open now; raises UnsoundTokens with what to do."""
        try:
            # The kubelet swaps a symbolic link, so a changed file is another inode.
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._hashes = _parse(self._path.read_text(encoding="ascii"), self._path)
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            self._seen = None
            raise UnsoundTokens(f"{self._path} cannot be read ({error}). Mount it.") from error
        return self._hashes

    def opens(self, token: str) -> bool:
        """Whether the token is one of those known, in a time that does not depend on the answer."""
        presented = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = False
        for known in self.hashes():
            found |= hmac.compare_digest(presented, known)
        return found


def _parse(text: str, path: Path) -> tuple[bytes, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UnsoundTokens(f"{path} is empty. Put the sha256 of at least one token into it.")
    for number, line in enumerate(lines, 1):
        if not SHA256.fullmatch(line):
            # The line is not shown: it may be a token that somebody put there by mistake.
            raise UnsoundTokens(
                f"{path}: line {number} is no sha256 in lower-case hex. Put the token's hash there."
            )
    return tuple(bytes.fromhex(line) for line in lines)
