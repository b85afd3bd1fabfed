"""Where a program runs: its environment, its contract, and the cluster as a provider."""

from collections.abc import Iterator
from contextlib import contextmanager

import pulumi
from pulumi_kubernetes import Provider

from infra import contract as contracts
from infra import environment as environments
from infra import refusal
from infra.contract import Contract
from infra.environment import Environment
from infra.platform import known


def load(stack: str) -> tuple[Environment, Contract]:
    """Environment and contract of a stack; a preview gets a promised contract before a cluster is.

    Raises RunError with the words of a refusal.
    """
    with refusals():
        environment = environments.load(stack)
        if pulumi.runtime.is_dry_run() and not contracts.path(environment.name).is_file():
            return environment, contracts.promised(environment)
        return environment, contracts.load(environment)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refusal into a RunError, whose words Pulumi shows without a stack trace."""
    try:
        yield
    except refusal.Refusal as refused:
        raise pulumi.RunError(str(refused)) from refused


def cluster(contract: Contract) -> Provider:
    """The cluster that the contract describes."""
    return Provider("cluster", kubeconfig=known.kubeconfig(contract))
