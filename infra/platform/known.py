"""What a cluster must tell before it is known: image digests, secrets, custom resource definitions.

Against a promised contract these are unknown outputs or nothing at all, so that a preview shows the
graph before a cluster exists. Nothing else asks whether a contract is promised.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import yaml

from infra import refusal
from infra.contract import Contract


def unknown() -> pulumi.Output[Any]:
    """A value that only a later run can tell."""

    def told(value: object) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_event_loop().create_future()
        future.set_result(value)
        return future

    return pulumi.Output(set(), told(None), told(False))


def kubeconfig(contract: Contract) -> pulumi.Input[str]:
    """Path of the kubeconfig."""
    return unknown() if contract.promised else str(contract.kubeconfig)


def image(contract: Contract, name: str) -> pulumi.Input[str]:
    """Reference by digest of a platform image; raises Refusal when the contract has it not."""
    if contract.promised:
        return unknown()
    if name not in contract.images:
        raise refusal.Refusal(
            "contract: images",
            sorted(contract.images),
            f"the platform runs {name}, which is not among them",
            f"Run `yard up {contract.environment}`, which builds it, or add it to the contract.",
        )
    return contract.images[name].pinned


def credential(contract: Contract, file: str) -> pulumi.Input[str]:
    """Content of a file of the credentials folder. Not yet secret: wrap what is made of it."""
    return unknown() if contract.promised else _read(contract, file)


def checksum(contract: Contract, *files: str) -> pulumi.Input[str]:
    """A hash that changes with the files: as a pod's annotation it restarts the pods with them."""
    if contract.promised:
        return unknown()
    digest = hashlib.sha256()
    for file in files:
        digest.update(_read(contract, file).encode())
    return digest.hexdigest()


def definitions(contract: Contract, component: str) -> Iterator[dict[str, Any]]:
    """Custom resource definitions of a component, parsed; none are known to a promised contract."""
    if contract.promised:
        return
    if component not in contract.crds:
        raise refusal.Refusal(
            "contract: crds",
            sorted(contract.crds),
            f"{component} needs its custom resource definitions",
            f"Run `yard up {contract.environment}`, or name their file under crds.{component}.",
        )
    place = contract.crds[component]
    paths = sorted([*place.glob("*.yaml"), *place.glob("*.yml")]) if place.is_dir() else [place]
    for path in paths:
        for document in yaml.load_all(path.read_text(), _LOADER):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield document


# The C loader reads the megabyte of definitions in a tenth of the time; both are safe loaders.
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _read(contract: Contract, file: str) -> str:
    path: Path = contract.credentials / file
    try:
        return path.read_text()
    except FileNotFoundError:
        raise refusal.Refusal(
            str(path),
            None,
            "the platform needs this file of the environment's credentials",
            f"Run `yard up {contract.environment}`, which makes it.",
        ) from None
