"""The node containers of the environment `test`, made before by `yard up test`."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
import testinfra
from docker.models.containers import Container
from testinfra.host import Host

from ci.pipeline import engine, node_probe
from infra import environment
from infra.environment import Environment
from tests.hosts import machines, outcomes

BARE = "modelyard-test-bare"

Kubectl = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def env() -> Environment:
    """The environment `test`; fails with the remedy when its nodes are not up."""
    found = environment.load("test")
    probe = node_probe.probe(found)
    if not probe.healthy:
        pytest.fail(f"environment test is not up: {probe.faults}. Run `.venv/bin/yard up test`.")
    return found


@pytest.fixture(scope="session")
def reach(env: Environment) -> Callable[[str], Host]:
    """A node by its name, as testinfra sees it: cpu-1 over SSH as `ops`, the others in place."""
    addresses = {node.name: node.address for node in env.nodes()}

    def host(node: str) -> Host:
        if node != "cpu-1":
            return machines.host(env, node)
        folder = outcomes.ssh_folder(env)
        return testinfra.get_host(
            f"ssh://ops@{addresses[node]}",
            ssh_identity_file=str(folder / "id_ed25519"),
            ssh_extra_args=f"-o UserKnownHostsFile={folder}/known_hosts",
            sudo=True,
        )

    return host


@pytest.fixture(scope="session")
def engine_client(env: Environment) -> Iterator[docker.DockerClient]:
    """The container engine."""
    connection = engine.client()
    yield connection
    connection.close()


@pytest.fixture
def container(env: Environment, engine_client: docker.DockerClient) -> Callable[[str], Container]:
    """A node's container by the node's name."""
    return lambda node: engine_client.containers.get(node_probe.container_name(env, node))


@pytest.fixture(scope="session")
def kubectl(env: Environment) -> Kubectl:
    """kubectl with the administrator's kubeconfig; what it prints, parsed from JSON."""
    ask = machines.kubectl(env)

    def run(*arguments: str, text: str | None = None, plain: bool = False) -> Any:
        if plain:
            return ask(*arguments, text=text)
        return json.loads(ask(*arguments, "--output", "json", text=text))

    return run


@pytest.fixture(scope="session")
def bare(env: Environment, engine_client: docker.DockerClient) -> Iterator[Host]:
    """A node container on which no role but node_container ever ran."""
    with machines.bare(engine_client, env, BARE) as host:
        yield host
