"""Ports that the environment needs and somebody else has."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from ci.pipeline import ports
from infra import environment
from infra.environment import Environment
from infra.refusal import Refusal
from tests.infra.plugins.apiserver import free_port


@pytest.fixture
def env() -> Environment:
    return environment.load("test")


@pytest.fixture
def listener(env: Environment) -> Iterator[int]:
    """This process listens on the gateway's port, or on another one where that is taken."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def placed(env: Environment, gateway: int) -> Environment:
    return env.model_copy(update={"ports": env.published.model_copy(update={"gateway": gateway})})


def test_a_taken_port_is_refused_with_its_key_and_who_has_it(
    env: Environment, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_own", lambda _: {env.published.api, env.published.registry})

    with pytest.raises(Refusal) as refused:
        ports.require(placed(env, listener))

    assert refused.value.where == "Pulumi.test.yaml: ports.gateway"
    assert refused.value.value == listener
    assert f"(process {os.getpid()}) listens on it" in refused.value.rule
    assert "set another port" in refused.value.remedy


def test_a_port_that_the_environment_itself_publishes_is_its_own(
    env: Environment, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {env.published.api, env.published.registry, listener}
    monkeypatch.setattr(ports, "_own", lambda _: own)

    ports.require(placed(env, listener))


def test_a_port_on_which_nobody_listens_is_free_also_just_after_somebody_did(
    listener: int,
) -> None:
    assert ports.taken(listener)
    with socket.create_connection(("127.0.0.1", listener)):
        pass

    assert not ports.taken(free_port())


def test_a_listener_on_all_addresses_takes_the_port_of_each() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()

        assert ports.taken(server.getsockname()[1])


def test_a_holder_that_this_user_may_not_see_is_another_program(tmp_path: Path) -> None:
    assert ports.holder(1, tmp_path) == "another program"


class Box:
    """A container that publishes one port of this machine, and remembers that it was restarted."""

    name = "modelyard-test-control-1"

    def __init__(self, port: int) -> None:
        binding = {"HostIp": "127.0.0.1", "HostPort": str(port)}
        self.attrs = {"NetworkSettings": {"Ports": {"30443/tcp": [binding], "179/tcp": None}}}
        self.restarts = 0

    def restart(self, timeout: int) -> None:
        self.restarts += 1


def running(*boxes: Box) -> Callable[[Environment], AbstractContextManager[list[Box]]]:
    return lambda _: nullcontext(list(boxes))


def test_a_container_that_lost_its_forwarder_is_restarted_and_no_other(
    env: Environment, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = Box(listener), Box(free_port())
    monkeypatch.setattr(ports, "_running", running(whole, broken))
    told: list[str] = []

    ports.revive(env, lambda text, *_: told.append(text))

    assert (whole.restarts, broken.restarts) == (0, 1)
    assert len(told) == 1
    assert "nobody forwards" in told[0]
