"""What AWS answers where something is not there yet."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ci.aws.account import AccountError

ABSENT = {
    "NoSuchBucketPolicy",
    "NoSuchEntity",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
}


def unless_absent(look: Callable[[], Any]) -> Any:
    """What looking finds; None where nothing is there."""
    try:
        return look()
    except ClientError as error:
        only(error, *ABSENT)
        return None


def only(error: ClientError, *expected: str) -> None:
    """Let an error pass that says that something is not there yet; raise any other."""
    code = error.response["Error"]["Code"]
    if code not in expected:
        raise AccountError(
            f"AWS answered {code} to {error.operation_name}: {error}. Check what these credentials"
            " may do, then run the command again: it goes on where it stopped."
        ) from error
