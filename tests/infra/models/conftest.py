"""A release to begin with; the engine, the environment and its contract are tests/infra's."""

import pytest

from infra.models.release import Release, Replicas, Resources


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
