"""A contract, releases, and an engine that records what a program registers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import contract, environment, places
from infra.contract import Contract
from infra.environment import Environment
from infra.models.release import Release, Replicas, Resources


@dataclass
class Recorded:
    """One registered resource."""

    type: str
    name: str
    inputs: dict[str, Any]


@dataclass
class Engine(pulumi.runtime.Mocks):
    """Records registrations; made once per test."""

    registered: list[Recorded] = field(default_factory=list)

    def new_resource(
        self, args: pulumi.runtime.MockResourceArgs
    ) -> tuple[str | None, dict[Any, Any]]:
        self.registered.append(Recorded(args.typ, args.name, args.inputs))
        return f"{args.name}-id", args.inputs

    def call(
        self, args: pulumi.runtime.MockCallArgs
    ) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"no invoke works in a closed network: {args.token}")

    def run(self, program: Callable[[], object]) -> None:
        """Run a program to its end; what it raises, this raises."""
        pulumi.runtime.set_mocks(self)
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]

    def created(self, kind: str) -> list[Recorded]:
        """Kubernetes objects of one kind."""
        return [one for one in self.registered if one.inputs.get("kind") == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """Inputs of the only object of a kind."""
        (only,) = self.created(kind)
        return only.inputs


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment `local`, with a state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    loaded = environment.load("local")
    assert places.state("local").is_relative_to(tmp_path)
    return loaded


@pytest.fixture
def facts(here: Environment) -> Contract:
    return contract.promised(here)


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


@pytest.fixture
def release() -> Release:
    return Release(
        name="digits",
        version="1.0.0",
        digest=digest("a"),
        report=digest("f"),
        resources=Resources(cpu="250m", memory="256Mi"),
        replicas=Replicas(min=1, max=3),
    )
