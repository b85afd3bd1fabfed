"""Artifacts: datasets, weights and reports of training runs, in one bucket."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import s3

from infra.foundation import grants, policy_text
from infra.foundation.place import Place
from infra.foundation.settings import Artifacts as Settings


@dataclass(frozen=True, kw_only=True)
class ArtifactsArgs:
    """How long what was replaced stays, and with which key everything is encrypted."""

    place: Place
    settings: Settings
    key: pulumi.Input[str]


class Artifacts(pulumi.ComponentResource):
    """A bucket with versions, a key of our own, TLS only, and nothing public."""

    bucket: pulumi.Output[str]

    def __init__(
        self, name: str, args: ArtifactsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Artifacts", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        bucket = s3.Bucket(
            f"{name}-bucket",
            bucket=f"{args.place.prefix}-artifacts-{args.place.account}",
            force_destroy=False,
            opts=pulumi.ResourceOptions(parent=self, protect=args.place.protected),
        )
        s3.BucketOwnershipControls(
            f"{name}-owner",
            bucket=bucket.id,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=options,
        )
        closed = s3.BucketPublicAccessBlock(
            f"{name}-closed",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=options,
        )
        versions = s3.BucketVersioning(
            f"{name}-versions",
            bucket=bucket.id,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(
                status="Enabled"
            ),
            opts=options,
        )
        s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption", bucket=bucket.id, rules=[_encryption(args.key)], opts=options
        )
        s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=policy_text.of(
                grants.only_tls(bucket.arn, pulumi.Output.concat(bucket.arn, "/*"))
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=bucket.id,
            rules=_rules(args.settings),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versions]),
        )
        self.bucket = bucket.id
        self.register_outputs({"bucket": self.bucket})


def _encryption(
    key: pulumi.Input[str],
) -> s3.BucketServerSideEncryptionConfigurationRuleArgs:
    return s3.BucketServerSideEncryptionConfigurationRuleArgs(
        bucket_key_enabled=True,
        apply_server_side_encryption_by_default=(
            s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                sse_algorithm="aws:kms", kms_master_key_id=key
            )
        ),
    )


def _rules(settings: Settings) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    moves = [
        s3.BucketLifecycleConfigurationRuleTransitionArgs(
            days=settings.infrequent_access_days, storage_class="STANDARD_IA"
        )
    ]
    if settings.archive_days:
        moves.append(
            s3.BucketLifecycleConfigurationRuleTransitionArgs(
                days=settings.archive_days, storage_class="GLACIER_IR"
            )
        )
    return [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="age",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            transitions=moves,
            noncurrent_version_expiration=(
                s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=settings.old_versions_days
                )
            ),
            abort_incomplete_multipart_upload=(
                s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                    days_after_initiation=7
                )
            ),
        )
    ]
