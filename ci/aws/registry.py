"""The account's container registry: who may push, and what is in it already."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from ci.aws import answers


@contextmanager
def login(session: boto3.Session, host: str) -> Iterator[Path]:
    """A file of credentials for skopeo, valid for 12 hours and gone afterwards."""
    try:
        found = session.client("ecr").get_authorization_token()["authorizationData"]
    except ClientError as error:
        answers.only(error)
        raise AssertionError("an unexpected answer raises") from error
    with tempfile.TemporaryDirectory(prefix="modelyard-registry-") as scratch:
        path = Path(scratch) / "auth.json"
        path.touch(mode=0o600)
        auths = {host: {"auth": found[0]["authorizationToken"]}}
        path.write_text(json.dumps({"auths": auths}))
        yield path


def has(session: boto3.Session, repository: str, digest: str) -> bool:
    """Whether a repository has an image; False, too, where there is no such repository."""
    try:
        session.client("ecr").describe_images(
            repositoryName=repository, imageIds=[{"imageDigest": digest}]
        )
        return True
    except ClientError as error:
        answers.only(error, "ImageNotFoundException", "RepositoryNotFoundException")
        return False
