"""The platform's images in the registry of an account: built ones pushed, vendors' ones copied."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci.pipeline.push import PushError
from ci.report import Report
from ci.toolchain import images, supply, vendor
from infra.contract import Image
from infra.environment import Environment
from infra.foundation import images as account
from infra.foundation.settings import Aws
from infra.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Where an image is, as skopeo names it, and what it is to be called in the account."""

    name: str
    source: str
    tag: str
    digest: str


def require(aws: Aws) -> None:
    """Refuse, before anything is made, vendors' images that have no digest."""
    known = vendor.load().image
    unpinned = [
        name for name in account.wanted(aws) if name in account.VENDORS and not known[name].digest
    ]
    if unpinned:
        raise Refusal(
            f"{vendor.FILE}: image: digest",
            ", ".join(unpinned),
            "pods name images by digest, and these have none here: nobody may guess one",
            "On an open network run `yard toolchain pin`, compare the digests with those that the "
            "vendors publish, and commit them.",
        )


def publish(env: Environment, aws: Aws, report: Report) -> dict[str, Image]:
    """Copy what the account lacks; returns all images as the contract names them.

    Raises PushError where one does not arrive.
    """
    from ci.aws import account as accounts
    from ci.aws import registry

    session = accounts.session(env)
    wanted = list(_copies(env, aws, report))
    found = {}
    with registry.login(session, aws.registry) as authfile:
        for number, one in enumerate(wanted):
            repository = f"modelyard/{one.name}"
            report(f"image {one.name}", number, len(wanted))
            reference = f"{aws.registry}/{repository}:{one.tag}"
            if not registry.has(session, repository, one.digest):
                copy(one.source, reference, authfile)
            found[repository] = Image(reference=reference, digest=one.digest)
    return found


def _copies(env: Environment, aws: Aws, report: Report) -> Iterator[Copy]:
    known, source = vendor.load().image, supply.resolve(env)
    for name in account.wanted(aws):
        if name in account.VENDORS:
            one = known[name]
            repository, _, tag = one.reference.rpartition(":")
            pinned = f"docker://{repository}@{one.digest}"
            yield Copy(name=name, source=pinned, tag=tag, digest=one.digest)
        else:
            made = images.ensure(f"modelyard/{name}", report, source)
            archive = f"oci-archive:{made.path}:{made.reference}"
            # Tags never move there: what is built anew gets another one.
            tag = f"{made.reference.rsplit(':', 1)[1]}-{made.digest.removeprefix('sha256:')[:12]}"
            yield Copy(name=name, source=archive, tag=tag, digest=made.digest)


def copy(source: str, reference: str, authfile: Path | None = None) -> None:
    """Copy an image with all its architectures, to the byte; by default as whoever is logged in."""
    command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests"]
    command += ["--dest-authfile", str(authfile)] if authfile else []
    command += [source, f"docker://{reference}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise PushError(
            f"{reference} was not copied from {source}: {done.stderr.strip()[-1500:]}\nCheck the "
            "network and what you may do there, then run the command again."
        )
