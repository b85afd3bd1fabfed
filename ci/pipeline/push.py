"""Push an image to the environment's registry, with the rights that this machine has there."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ci.report import Report
from infra.contract import Contract
from infra.environment import Environment

# The engine takes every connection to a published port, and closes those that nobody answers.
SILENT = ("connection refused", "connection reset", "i/o timeout", "EOF")


class PushError(Exception):
    """The image is not in the registry; the text says why and what to do."""


class Pushable(Protocol):
    """What a push needs to know of a built model."""

    @property
    def name(self) -> str:
        """Repository in the registry."""

    @property
    def version(self) -> str:
        """Tag, for people; nodes pull by digest."""

    @property
    def layout(self) -> Path:
        """Folder with the image as an OCI layout, tagged with the version."""

    @property
    def digest(self) -> str:
        """Digest of its manifest."""


@contextmanager
def access(env: Environment, contract: Contract) -> Iterator[list[str]]:
    """Options by which skopeo may push: passwords and trust come from files, never from arguments.

    In an account the password is one of 12 hours, whose file is gone afterwards.
    """
    if env.cluster.substrate == "existing":
        yield []  # as whoever is logged in there: `skopeo login`
        return
    if env.aws is None:
        authfile = contract.credentials / "docker-config.json"
        yield ["--authfile", str(authfile), "--dest-cert-dir", str(contract.credentials / "trust")]
        return
    from ci.aws import account, registry  # the SDK takes a second, which hosts need not spend

    with registry.login(account.session(env), env.aws.registry) as authfile:
        yield ["--authfile", str(authfile)]


def push(built: Pushable, contract: Contract, options: Sequence[str], report: Report) -> str:
    """Copy the image to the registry; returns the digest that the registry gives it.

    ``options`` are those of :func:`access`.
    """
    target = f"docker://{contract.registry.push}/{built.name}:{built.version}"
    report(f"pushing {built.name} {built.version}", 0, 1)
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "digest"
        keep = ["--preserve-digests", "--digestfile", str(told)]
        source = f"oci:{built.layout}:{built.version}"
        command = ["skopeo", "copy", "--quiet", *options, *keep, source, target]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except FileNotFoundError:
            raise PushError(
                f"skopeo is not installed. Run `yard up {contract.environment}`, which installs it."
            ) from None
        if done.returncode:
            raise PushError(_explain(target, done.stderr, contract.environment))
        digest = told.read_text().strip()
    if digest != built.digest:
        raise PushError(
            f"{target} has the digest {digest}, the image that was built has {built.digest}."
            " Something between this machine and the registry changes images. Nothing is released."
        )
    report(f"pushed {built.name} {built.version}", 1, 1)
    return digest


def _explain(target: str, said: str, environment: str) -> str:
    said = said.strip()[-1500:]
    if any(sign in said for sign in SILENT):
        remedy = f"The registry does not answer. Run `yard up {environment}`, then ship again."
    elif "unauthorized" in said or "authentication required" in said:
        remedy = (
            f"The registry refused the push account. Run `yard up {environment}`, which repairs"
        )
        remedy += " credentials and registry together."
    elif "certificate" in said:
        remedy = (
            f"The registry's certificate is not this environment's. Run `yard up {environment}`."
        )
    else:
        remedy = f"Look at the log of the registry in `{environment}`, then ship again."
    return f"{target} was not pushed: {said}\n{remedy}"
