"""Bad luck, on the environment `test`. What takes minutes bears the mark `faults` alone."""

import pytest

from infra import environment
from infra.environment import Environment
from tests.faults.victims import Machine
from tests.system.conftest import example, gateway, house, kubernetes
from tests.system.house import NAME

__all__ = ["example", "gateway", "house", "kubernetes"]


@pytest.fixture(scope="session")
def env() -> Environment:
    """The environment that is struck."""
    return environment.load(NAME)


@pytest.fixture(scope="session")
def machine(env: Environment) -> Machine:
    """Its nodes, as the container engine sees them."""
    return Machine(env)
