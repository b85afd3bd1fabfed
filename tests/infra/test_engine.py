"""The recording engine itself: tests that trust it must be able to fail."""

from typing import TYPE_CHECKING

import pulumi
import pytest
from pulumi_kubernetes.core.v1 import Namespace, Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

if TYPE_CHECKING:
    from tests.infra.conftest import Engine


def space() -> Namespace:
    return Namespace("space", metadata=ObjectMetaArgs(name="space"))


def test_a_false_assertion_inside_an_apply_fails_the_test(engine: "Engine") -> None:
    def program() -> pulumi.Output[None]:
        def claim(name: str | None) -> None:
            assert name == "another"

        return space().metadata.name.apply(claim)

    with pytest.raises(AssertionError):
        engine.run(program)


def test_an_exception_of_the_program_reaches_the_test(engine: "Engine") -> None:
    def program() -> None:
        space()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        engine.run(program)


def test_what_a_program_registers_is_recorded_with_its_inputs(engine: "Engine") -> None:
    engine.run(space)

    assert engine.one("Namespace")["metadata"] == {"name": "space"}
    assert engine.created("Secret") == []


def test_what_waits_for_another_resource_is_recorded_too(engine: "Engine") -> None:
    def program() -> None:
        Secret("inner", metadata=ObjectMetaArgs(namespace=space().metadata.name))

    engine.run(program)

    assert engine.one("Secret")["metadata"] == {"namespace": "space"}
