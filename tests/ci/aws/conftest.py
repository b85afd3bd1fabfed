"""An account that moto plays, and the environment that names it."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from infra import environment
from infra.environment import Environment
from infra.foundation import place
from infra.foundation.place import Place

REGION = "us-west-2"


@pytest.fixture
def dev() -> Environment:
    return environment.load("dev")


@pytest.fixture
def here(dev: Environment) -> Place:
    assert dev.aws is not None
    return place.of(dev, dev.aws)


@pytest.fixture
def session(here: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """Credentials that open the account of `dev`. Nothing leaves this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", here.account)
    with mock_aws():
        yield boto3.Session(region_name=REGION)
