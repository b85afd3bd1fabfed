"""The foundation of every environment in an account, run once; many tests ask it."""

import json
import runpy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from infra import environment
from infra.environment import Environment
from infra.foundation.settings import Aws, Pool
from tests.infra.foundation.answers import ANSWERS

if TYPE_CHECKING:
    from tests.infra.conftest import Engine

IN_ACCOUNTS = [name for name in environment.names() if environment.load(name).aws]


class Estate(NamedTuple):
    """What the program registered for one environment, and what it was made from."""

    engine: "Engine"
    environment: Environment
    aws: Aws

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Inputs of the only resource of a type, or of the one with this logical name."""
        found = self.engine.of(kind)
        if name is not None:
            return found[name]
        (only,) = found.values()
        return only

    def pool(self, name: str) -> Pool:
        return next(pool for pool in self.aws.pools if pool.name == name)

    def statements(self) -> list[tuple[str, dict[str, Any]]]:
        """(resource, statement) of every right that a role gets."""
        return [
            (name, statement)
            for name, inputs in self.engine.of("aws:iam/rolePolicy:RolePolicy").items()
            for statement in json.loads(inputs["policy"])["Statement"]
        ]


def program() -> None:
    """What `pulumi up` runs."""
    runpy.run_module("infra.foundation.__main__", run_name="__main__")


@pytest.fixture(scope="session")
def estates(new_engine: "type[Engine]") -> dict[str, Estate]:
    """All estates by environment. Only to be looked at."""
    made = {}
    for name in IN_ACCOUNTS:
        loaded = environment.load(name)
        assert loaded.aws is not None
        engine = new_engine(answers=ANSWERS)
        engine.run(program, stack=name)
        made[name] = Estate(engine, loaded, loaded.aws)
    return made


@pytest.fixture(params=IN_ACCOUNTS)
def estate(request: pytest.FixtureRequest, estates: dict[str, Estate]) -> Estate:
    """One environment after the other."""
    return estates[request.param]


@pytest.fixture
def prod(estates: dict[str, Estate]) -> Estate:
    """The environment that uses everything."""
    return estates["prod"]
