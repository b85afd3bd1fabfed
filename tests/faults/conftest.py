"""Bad luck, on the environment `test`. What takes minutes bears the mark `faults` alone."""

import pytest

from infra import environment
from infra.environment import Environment
from tests import order
from tests.faults.victims import Machine
from tests.system.conftest import example, gateway, house, kubernetes
from tests.system.house import NAME

__all__ = ["example", "gateway", "house", "kubernetes"]

# The first brings the environment up, from nothing and in pieces; the last stops the engine.
ORDER = (
    "test_killed.py",
    "test_commands.py",
    "test_drift.py",
    "test_callers.py",
    "test_load.py",
    "test_network.py",
    "test_nodes.py",
    "test_engine.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of ORDER."""
    order.keep(items, "faults", ORDER)


@pytest.fixture(scope="session")
def env() -> Environment:
    """The environment that is struck."""
    return environment.load(NAME)


@pytest.fixture(scope="session")
def machine(env: Environment) -> Machine:
    """Its nodes, as the container engine sees them."""
    return Machine(env)
