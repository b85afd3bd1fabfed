"""Where the foundation's program runs: its environment and its account."""

import pulumi

from infra import environment as environments
from infra import refusal
from infra.environment import Environment
from infra.foundation.settings import Aws


def load(stack: str) -> tuple[Environment, Aws]:
    """Environment of a stack and its account; RunError with the refusal's words."""
    try:
        environment = environments.load(stack)
        if environment.aws is None:
            raise refusal.Refusal(
                "cluster.substrate",
                environment.cluster.substrate,
                "this program makes the clusters of AWS accounts",
                f"Run `yard up {stack}`, which knows what makes the others.",
            )
        return environment, environment.aws
    except refusal.Refusal as refused:
        raise pulumi.RunError(str(refused)) from refused
