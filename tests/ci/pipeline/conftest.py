"""What several tests of the pipeline begin with."""

from pathlib import Path

import pytest

from infra import contract, environment
from infra.environment import Environment


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Environment `test` in a state folder of its own, which knows its cluster by a contract."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    loaded = environment.load("test")
    facts = contract.promised(loaded).model_copy(update={"promised": False})
    contract.path("test").parent.mkdir(parents=True)
    contract.path("test").write_text(facts.model_dump_json())
    return loaded
