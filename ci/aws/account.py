"""The account that this machine's credentials open, and that it is the environment's own."""

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from infra.environment import Environment
from infra.foundation.settings import Aws
from infra.refusal import Refusal


class AccountError(Exception):
    """AWS does not answer, or denies; the text says what was asked and what to do."""


def settings(env: Environment) -> Aws:
    """What the environment says of its account; Refusal when it has none."""
    if env.aws is None:
        raise Refusal(
            f"Pulumi.{env.name}.yaml: cluster.substrate",
            env.cluster.substrate,
            "the environment has no account",
            "Name an environment whose cluster.substrate is aws.",
        )
    return env.aws


def session(env: Environment) -> boto3.Session:
    """A session in the environment's account and region, refused before anything else is asked.

    Raises AccountError when AWS cannot be asked who this is.
    """
    aws = settings(env)
    opened = boto3.Session(region_name=aws.region)
    try:
        found = opened.client("sts").get_caller_identity()
    except NoCredentialsError:
        raise Refusal(
            "AWS credentials",
            None,
            f"nothing on this machine opens the account {aws.account}",
            f"Log in to it, such as by `aws sso login`, or set AWS_PROFILE; region {aws.region}.",
        ) from None
    except (BotoCoreError, ClientError) as error:
        raise AccountError(f"AWS does not say who asks: {error}. Log in again.") from error
    if found["Account"] != aws.account:
        raise Refusal(
            f"Pulumi.{env.name}.yaml: aws.account",
            aws.account,
            f"this machine's credentials ({found['Arn']}) open the account {found['Account']}",
            f"Use credentials of {aws.account}, or correct the environment's account.",
        )
    return opened
