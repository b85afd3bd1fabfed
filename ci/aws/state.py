"""The state of an account's stacks: a bucket with versions, TLS only, and the key that encrypts it.

Pulumi keeps its locks in the bucket itself.
"""

import json
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ci.aws import answers
from infra.foundation import grants
from infra.foundation.place import Place
from infra.refusal import Refusal

OLD_VERSIONS_DAYS = 90
"""Days after which a replaced version of a state file is gone for good."""

PUBLIC = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def closed(session: boto3.Session, here: Place) -> list[str]:
    """No bucket of the account can be made public, whatever its own settings say."""
    client = session.client("s3control")
    try:
        found = client.get_public_access_block(AccountId=here.account)
        if found["PublicAccessBlockConfiguration"] == PUBLIC:
            return []
    except ClientError as error:
        answers.only(error, "NoSuchPublicAccessBlockConfiguration")
    client.put_public_access_block(AccountId=here.account, PublicAccessBlockConfiguration=PUBLIC)
    return ["the account's buckets cannot be public"]


def key(session: boto3.Session, here: Place) -> list[str]:
    """A key that rotates every year, for the state and for the secrets in it."""
    client = session.client("kms")
    try:
        found = client.describe_key(KeyId=here.state_key)["KeyMetadata"]["KeyId"]
        made: list[str] = []
    except ClientError as error:
        answers.only(error, "NotFoundException")
        policy = grants.document(
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{here.account}:root"},
                "Action": ["kms:*"],
                "Resource": ["*"],
            }
        )
        found = client.create_key(
            Description=f"{here.prefix}: Pulumi's state and its secrets",
            Policy=json.dumps(policy),
            Tags=[{"TagKey": "modelyard:environment", "TagValue": here.environment}],
        )["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName=here.state_key, TargetKeyId=found)
        made = [f"key {here.state_key}"]
    if not client.get_key_rotation_status(KeyId=found)["KeyRotationEnabled"]:
        client.enable_key_rotation(KeyId=found)
        made.append(f"rotation of {here.state_key}")
    return made


def bucket(session: boto3.Session, here: Place) -> list[str]:
    """The bucket, and each of its settings that is not as it should be."""
    client = session.client("s3")
    name = here.state_bucket
    made = [] if _exists(client, here) else _create(client, here)
    key = session.client("kms").describe_key(KeyId=here.state_key)["KeyMetadata"]["Arn"]
    encryption = {
        "Rules": [
            {
                "ApplyServerSideEncryptionByDefault": {
                    "SSEAlgorithm": "aws:kms",
                    "KMSMasterKeyID": key,
                },
                "BucketKeyEnabled": True,
            }
        ]
    }
    policy = grants.document(grants.only_tls(f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"))
    lifecycle = {
        "ID": "old-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSIONS_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    wanted: list[tuple[str, Callable[[], Any], Any, Callable[[], Any]]] = [
        (
            "versions",
            lambda: client.get_bucket_versioning(Bucket=name).get("Status"),
            "Enabled",
            lambda: client.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            ),
        ),
        (
            "no public access",
            lambda: client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
            PUBLIC,
            lambda: client.put_public_access_block(
                Bucket=name, PublicAccessBlockConfiguration=PUBLIC
            ),
        ),
        (
            "encryption",
            lambda: _encrypted_with(client, name),
            key,
            lambda: client.put_bucket_encryption(
                Bucket=name, ServerSideEncryptionConfiguration=encryption
            ),
        ),
        (
            "TLS only",
            lambda: json.loads(client.get_bucket_policy(Bucket=name)["Policy"]),
            policy,
            lambda: client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy)),
        ),
        (
            "end of old versions",
            lambda: client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]["ID"],
            "old-versions",
            lambda: client.put_bucket_lifecycle_configuration(
                Bucket=name, LifecycleConfiguration={"Rules": [lifecycle]}
            ),
        ),
    ]
    for what, look, right, correct in wanted:
        if answers.unless_absent(look) != right:
            correct()
            made.append(f"{what} of {name}")
    return made


def require(session: boto3.Session, here: Place) -> None:
    """Refuse an account that has no place for a state yet. Changes nothing."""
    missing = [] if _exists(session.client("s3"), here) else [f"bucket {here.state_bucket}"]
    try:
        session.client("kms").describe_key(KeyId=here.state_key)
    except ClientError as error:
        answers.only(error, "NotFoundException")
        missing.append(f"key {here.state_key}")
    if missing:
        raise Refusal(
            f"account {here.account}: state",
            ", ".join(missing),
            "it is not there, so nothing that Pulumi makes could be kept",
            f"Run `yard bootstrap {here.environment}`, which makes it.",
        )


def read(session: boto3.Session, here: Place, key: str) -> bytes | None:
    """An object of the bucket; None where there is none."""
    try:
        answer = session.client("s3").get_object(
            Bucket=here.state_bucket, Key=key, ExpectedBucketOwner=here.account
        )
    except ClientError as error:
        answers.only(error, "NoSuchKey")
        return None
    content: bytes = answer["Body"].read()
    return content


def _exists(client: Any, here: Place) -> bool:
    try:
        client.head_bucket(Bucket=here.state_bucket, ExpectedBucketOwner=here.account)
        return True
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"403", "AccessDenied"}:
            raise Refusal(
                "state bucket",
                here.state_bucket,
                "a bucket of this name is another account's, or may not be seen",
                "Use credentials that may see all buckets; if it is foreign, ask AWS.",
            ) from None
        answers.only(error, "404")
        return False


def _create(client: Any, here: Place) -> list[str]:
    # us-east-1 is the place that must not be named.
    located = (
        {}
        if here.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": here.region}}
    )
    client.create_bucket(Bucket=here.state_bucket, ObjectOwnership="BucketOwnerEnforced", **located)
    return [f"bucket {here.state_bucket}"]


def _encrypted_with(client: Any, bucket: str) -> str | None:
    found = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    key: str | None = found["Rules"][0]["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    return key
