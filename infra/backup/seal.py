"""Encryption of backups, in the format of age: `age --decrypt --identity KEY FILE` opens them, too.

A backup is encrypted to public keys, so who makes backups need not be able to read them. A key of
an environment's own is made where its team names none.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import pyrage

from infra.backup.manifest import File
from infra.refusal import Refusal


class Reader(Protocol):
    """What is to be encrypted: any stream."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


class _Sum:
    """A file that is written, its size and its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sha256, self._size = file, hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self._sha256.update(content)
        self._size += len(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def told(self) -> File:
        return File(sha256=self._sha256.hexdigest(), size=self._size)


def recipients(given: Sequence[str], key: Path, used: Sequence[str]) -> tuple[str, ...]:
    """Public keys to encrypt to: those ``given``, else that of the key file, made if need be.

    ``used`` are those of the newest backup: a key that is lost is refused, not replaced in silence.
    """
    for text in given:
        try:
            pyrage.x25519.Recipient.from_str(text)
        except pyrage.RecipientError as error:
            rule = f"it is no public key of age: {error}"
            raise Refusal("backup_recipients", text, rule, "age-keygen makes pairs.") from error
    if given:
        return tuple(given)
    if key.is_file():
        return (str(identity(key).to_public()),)
    if used:
        rule = f"the file is gone, and the newest backup is encrypted to its key {', '.join(used)}"
        remedy = "Put it back from where its copy is kept, or move the old backups away."
        raise Refusal("backup_key", str(key), rule, remedy)
    made = pyrage.x25519.Identity.generate()
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(key, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"# public key: {made.to_public()}\n{made}\n")
        file.flush()
        os.fsync(file.fileno())
    return (str(made.to_public()),)


def identity(path: Path) -> pyrage.x25519.Identity:
    """The private key of a file such as age-keygen writes; raises Refusal where there is none."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
        texts = [line for line in lines if line and not line.startswith("#")]
        return pyrage.x25519.Identity.from_str("".join(texts))
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        rule = f"it is to hold the private key, as age-keygen writes it: {_said(error)}"
        remedy = "Name the file with -e restore_key=PATH; its copy is where you keep it in escrow."
        raise Refusal("restore_key", str(path), rule, remedy) from None


def _said(error: Exception) -> str:
    """Why it is none, without what the file holds."""
    return str(error.strerror) if isinstance(error, OSError) else "it holds no such key"


def seal(source: Reader, target: Path, to: Sequence[str]) -> File:
    """Encrypt a stream into a new file of ours alone; says its size and digest."""
    keys = [pyrage.x25519.Recipient.from_str(text) for text in to]
    descriptor = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        written = _Sum(file)
        pyrage.encrypt_io(source, written, keys)
        return written.told()


def unseal(source: Path, target: BinaryIO, key: pyrage.x25519.Identity) -> None:
    """Decrypt a file into a stream; raises Refusal for a key that does not open it."""
    with source.open("rb") as file:
        try:
            pyrage.decrypt_io(file, target, [key])
        except pyrage.DecryptError as error:
            rule = f"the key {key.to_public()} does not open it: {error}"
            remedy = "Name the key that its manifest tells under recipients: -e restore_key=PATH."
            raise Refusal(str(source), "encrypted", rule, remedy) from error
