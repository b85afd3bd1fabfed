"""Where the foundation's program runs: its environment and its account."""

import pulumi
import pulumi_aws

from infra import environment as environments
from infra import refusal
from infra.environment import Environment
from infra.foundation.place import Place
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


def account(place: Place) -> pulumi_aws.Provider:
    """The account as a provider, which refuses to work in any other account.

    Every resource that can carry tags says whose costs it makes.
    """
    return pulumi_aws.Provider(
        "account",
        region=place.region,
        allowed_account_ids=[place.account],
        default_tags=pulumi_aws.ProviderDefaultTagsArgs(
            tags={
                "modelyard:environment": place.environment,
                "modelyard:component": "foundation",
                "modelyard:managed-by": "pulumi",
            }
        ),
    )
