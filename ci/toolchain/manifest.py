"""The pinned tools, read from tools.toml into closed types."""

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from infra.refusal import Refusal

HERE = Path(__file__).parent

User = Literal["up", "environment", "bench"]
"""Who needs a family: every environment that comes up, one that names it, or one command alone."""


class Family(BaseModel, extra="forbid", frozen=True):
    """Binaries that one Go module yields; built together, trusted together.

    ``tags`` are Go build tags, ``ldflags`` maps a Go variable to the string it is linked with,
    ``binaries`` a file name to its Go package, ``files`` a name under ``share/`` to a file or a
    folder inside the module of the first binary. What ``needed_by`` names makes the family, and
    nothing before.
    """

    version: str
    seconds: Annotated[int, Field(gt=0)]
    disk_gib: Annotated[int, Field(gt=0)]
    memory_gib: Annotated[int, Field(gt=0)]
    ldflags: dict[str, str]
    binaries: Annotated[dict[str, str], Field(min_length=1)]
    files: dict[str, str] = {}
    tags: list[str] = []
    needed_by: User = "up"

    def key(self, wrapper: Path) -> str:
        """Content key: the wrapper module, its sums, its own code if it has some, and the recipe.

        Cost estimates do not count.
        """
        digest = hashlib.sha256()
        for path in (wrapper / "go.mod", wrapper / "go.sum", *sorted(wrapper.rglob("*.go"))):
            digest.update(path.read_bytes())
        # Tags count only where there are some, so that they changed no other family's key.
        parts = {"version", "ldflags", "binaries", "files"} | ({"tags"} if self.tags else set())
        recipe = self.model_dump_json(include=parts)
        digest.update(recipe.encode())
        return digest.hexdigest()[:16]


class GoToolchain(BaseModel, extra="forbid", frozen=True):
    """What the Go compiler on the machine must be at least."""

    minimum: str


class Debian(BaseModel, extra="forbid", frozen=True):
    """The Debian release that images are made of, and what the machine itself needs of its own.

    ``bases`` maps the name of a root file system to the packages that it has beyond minbase,
    ``programs`` a program to its package and its path in there.
    """

    suite: str
    architecture: str
    packages: Annotated[list[str], Field(min_length=1)]
    bases: dict[str, list[str]]
    programs: dict[str, tuple[str, str]]


class ModuleFile(BaseModel, extra="forbid", frozen=True):
    """One file out of a Go module, fetched and verified through a family's wrapper."""

    wrapper: str
    module: str
    path: str


class Kubernetes(BaseModel, extra="forbid", frozen=True):
    """A minor version of Kubernetes: its family, and tags of images that only its kubeadm wants."""

    family: str
    tags: dict[str, str] = {}


class Manifest(BaseModel, extra="forbid", frozen=True):
    """All of tools.toml. Families are listed, and built, in the order in which `up` needs them."""

    go: GoToolchain
    kubernetes: dict[str, Kubernetes]
    family: dict[str, Family]
    module_file: dict[str, ModuleFile]
    debian: Debian

    def families(self, user: User) -> list[str]:
        """Names of the families that ``user`` needs, in the order of the file."""
        return [name for name, family in self.family.items() if family.needed_by == user]

    def kubernetes_of(self, minor: str | None) -> Kubernetes:
        """A minor version's programs and images, the newest's without one; Refusal if unknown."""
        known = list(self.kubernetes)
        if minor is not None and minor not in known:
            rule = f"it is none of those that can be made: {', '.join(known)}"
            raise Refusal("kubernetes", minor, rule, "Name one of them, or none for the newest.")
        return self.kubernetes[minor or known[0]]


@cache
def load(path: Path = HERE / "tools.toml") -> Manifest:
    """Read and check the manifest; raises pydantic's ValidationError with key and rule."""
    return Manifest.model_validate(tomllib.loads(path.read_text()))


def wrapper(family: str) -> Path:
    """Folder with the committed go.mod and go.sum of a family."""
    return HERE / "go" / family
