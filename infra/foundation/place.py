"""Which account and region a program makes things in, and how it names them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.foundation.settings import Aws

if TYPE_CHECKING:
    from infra.environment import Environment

GITHUB = "token.actions.githubusercontent.com"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One environment's account. Names are known beforehand, so that rights can name them."""

    environment: str
    account: str
    region: str
    protected: bool

    @property
    def prefix(self) -> str:
        """What every name in the account begins with."""
        return f"modelyard-{self.environment}"

    def arn(self, service: str, resource: str) -> str:
        """ARN of something in the region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def role(self, name: str) -> str:
        """ARN of a role by its short name."""
        return f"arn:aws:iam::{self.account}:role/{self.prefix}-{name}"

    @property
    def state_bucket(self) -> str:
        """Bucket of Pulumi's state; names of buckets are shared by all accounts of the world."""
        return f"{self.prefix}-state-{self.account}"

    @property
    def state_key(self) -> str:
        """Alias of the key that encrypts Pulumi's secrets and state."""
        return f"alias/{self.prefix}-state"

    @property
    def state_variables(self) -> dict[str, str]:
        """What plain `pulumi` needs to use the state of this account."""
        return {
            "PULUMI_BACKEND_URL": f"s3://{self.state_bucket}?region={self.region}&awssdk=v2",
            "PULUMI_SECRETS_PROVIDER": f"awskms://{self.state_key}?region={self.region}",
            "AWS_REGION": self.region,
        }


def of(environment: "Environment", aws: Aws) -> Place:
    """The place of an environment."""
    return Place(
        environment=environment.name,
        account=aws.account,
        region=aws.region,
        protected=environment.protected,
    )
