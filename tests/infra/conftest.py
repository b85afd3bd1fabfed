"""One engine for all tests of Pulumi programs: it records what a program registers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import contract, environment, places
from infra.contract import Contract
from infra.environment import Environment


@dataclass
class Recorded:
    """One registered resource."""

    type: str
    name: str
    inputs: dict[str, Any]


@dataclass
class Engine(pulumi.runtime.Mocks):
    """Records registrations; made once per test, asked only after a run has ended.

    ``answers`` says by type what a provider would add to the inputs: ids, addresses, ARNs.
    """

    registered: list[Recorded] = field(default_factory=list)
    answers: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = field(
        default_factory=dict
    )

    def new_resource(
        self, args: pulumi.runtime.MockResourceArgs
    ) -> tuple[str | None, dict[Any, Any]]:
        self.registered.append(Recorded(args.typ, args.name, args.inputs))
        told = self.answers.get(args.typ, _nothing)(args.name, args.inputs)
        return f"{args.name}-id", args.inputs | told

    def call(
        self, args: pulumi.runtime.MockCallArgs
    ) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"no invoke works in a closed network: {args.token}")

    def run(
        self, program: Callable[[], object], *, stack: str = "local", preview: bool = False
    ) -> None:
        """Run a program until all that it registered is registered; what it raises, this raises."""
        _require_loop()
        pulumi.runtime.set_mocks(self, project="modelyard", stack=stack, preview=preview)
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Inputs of all resources of one type, by logical name."""
        return {one.name: one.inputs for one in self.registered if one.type == kind}

    def created(self, kind: str) -> list[Recorded]:
        """Kubernetes objects of one kind."""
        return [one for one in self.registered if one.inputs.get("kind") == kind]

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Inputs of the only object of a kind, or of the one with this name."""
        (only,) = [
            one.inputs
            for one in self.created(kind)
            if name is None or one.inputs["metadata"]["name"] == name
        ]
        return only


def _require_loop() -> None:
    """Pulumi takes the thread's event loop, which any asyncio.run of an earlier test took away."""
    try:
        asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        asyncio.set_event_loop(asyncio.new_event_loop())


def _nothing(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="session")
def new_engine() -> type[Engine]:
    """For fixtures that outlive a test."""
    return Engine


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
