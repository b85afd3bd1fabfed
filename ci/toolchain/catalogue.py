"""The catalogue of images, read from images.toml into closed types."""

import hashlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from ci.toolchain import manifest
from infra import places
from infra.environment import Engine

Kind = Literal["control", "cpu", "gpu"]


class Image(BaseModel, extra="forbid", frozen=True):
    """How one image is made; images.toml says what each key means."""

    repository: str
    tag: str
    nodes: Annotated[tuple[Kind, ...], Field(min_length=1)]
    base: str | None = None
    families: dict[str, str] = {}
    folders: dict[str, str] = {}
    programs: dict[str, str] = {}
    service: str | None = None
    certificates: bool = False
    user: Annotated[int, Field(ge=0, le=65535)]
    entrypoint: list[str]
    command: list[str] = []
    engine: Engine | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        tools = manifest.load()
        for binary in self.families.values():
            family, _, file = binary.partition("/")
            if family not in tools.family or file not in tools.family[family].binaries:
                raise ValueError(f"families names {binary}, which tools.toml does not have")
        for folder in self.folders.values():
            family, _, name = folder.partition("/")
            if family not in tools.family or name not in tools.family[family].files:
                raise ValueError(f"folders names {folder}, which tools.toml does not have")
        for program in self.programs.values():
            if program not in tools.debian.programs:
                raise ValueError(f"programs names {program}, which tools.toml does not have")
        if self.base is not None and self.base not in tools.debian.bases:
            raise ValueError(f"base is {self.base}, which tools.toml does not have")
        if self.service is not None and self.base is None:
            raise ValueError("a service needs a base with Python")
        if self.service is not None and not (self.folder() / "requirements.lock").is_file():
            raise ValueError(f"service is {self.service}, which has no requirements.lock")
        for part in re.findall(r"{(.*?)}", self.tag):
            if part != "content" and part not in tools.family:
                raise ValueError(f"tag names {part}, which tools.toml does not have")
        return self

    def folder(self) -> Path:
        """Folder of the service's code."""
        assert self.service is not None
        return places.REPOSITORY / "services" / "platform" / self.service

    def sources(self) -> list[Path]:
        """Files of the service that go into the image, in a fixed order; tests stay outside."""
        above = [places.REPOSITORY / "services" / "__init__.py"]
        above.append(places.REPOSITORY / "services" / "platform" / "__init__.py")
        inside = [
            path
            for path in sorted(self.folder().rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        ]
        return [*above, *inside]

    def reference(self, content: str) -> str:
        """Full reference; ``content`` is the image's key."""
        versions = {name: family.version for name, family in manifest.load().family.items()}
        return f"{self.repository}:{self.tag.format(content=content[:12], **versions)}"

    def key(self, *inputs: str) -> str:
        """Content key: the recipe, the service's code, and the keys of what else goes in."""
        # Folders count only where there are some, so that they changed no other image's key.
        apart = {"nodes", "engine"} | (set() if self.folders else {"folders"})
        digest = hashlib.sha256(self.model_dump_json(exclude=apart).encode())
        for text in inputs:
            digest.update(text.encode() + b"\0")
        for path in self.sources() if self.service else []:
            digest.update(str(path.relative_to(places.REPOSITORY)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]


class Catalogue(BaseModel, extra="forbid", frozen=True):
    """All of images.toml."""

    image: dict[str, Image]


@cache
def load(path: Path = manifest.HERE / "images.toml") -> Catalogue:
    """Read and check the catalogue; raises pydantic's ValidationError with key and rule."""
    return Catalogue.model_validate(tomllib.loads(path.read_text()))


def image(name: str) -> Image:
    """An image by its name; ``NAME@MINOR`` is what an older Kubernetes has in its place."""
    listed, _, minor = name.partition("@")
    found = load().image[listed]
    return _older(listed, found, minor) if minor else found


def _older(name: str, image: Image, minor: str) -> Image:
    tools = manifest.load()
    older = tools.kubernetes_of(minor)
    tag = image.tag.replace("{kubernetes}", tools.family[older.family].version)
    families = {
        path: re.sub("^kubernetes/", f"{older.family}/", binary)
        for path, binary in image.families.items()
    }
    return image.model_copy(update={"tag": older.tags.get(name, tag), "families": families})
