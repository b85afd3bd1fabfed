"""Container images: one repository per model and per platform image, and caches of public ones."""

import json
from dataclasses import dataclass

import pulumi
from pulumi_aws import ecr

from infra.foundation import images
from infra.foundation.place import Place
from infra.foundation.settings import Registries

UPSTREAMS = {"public.ecr.aws": "ecr-public", "registry.k8s.io": "kubernetes", "quay.io": "quay"}
"""Prefix of the cached repositories by upstream registry; none of these wants a password."""

UNTAGGED_DAYS = 7
CACHED_DAYS = 90


@dataclass(frozen=True, kw_only=True)
class RepositoriesArgs:
    """Whose images, how many are kept, and which registries are cached."""

    place: Place
    settings: Registries
    key: pulumi.Input[str]


class Repositories(pulumi.ComponentResource):
    """ECR: tags that never move, a scan of every push, a key of our own."""

    def __init__(
        self, name: str, args: RepositoriesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Repositories", name, None, opts)
        self._options = pulumi.ResourceOptions(parent=self)
        for prefix, called in {
            "models": args.settings.models,
            "modelyard": images.REPOSITORIES,
        }.items():
            for image in called:
                self._repository(f"{name}-{prefix}-{image}", f"{prefix}/{image}", args)
        for upstream in args.settings.caches:
            self._cache(name, upstream)
        ecr.RegistryScanningConfiguration(
            f"{name}-scanning",
            scan_type="BASIC",
            rules=[
                ecr.RegistryScanningConfigurationRuleArgs(
                    scan_frequency="SCAN_ON_PUSH",
                    repository_filters=[
                        ecr.RegistryScanningConfigurationRuleRepositoryFilterArgs(
                            filter="*", filter_type="WILDCARD"
                        )
                    ],
                )
            ],
            opts=self._options,
        )
        self.register_outputs({})

    def _repository(self, name: str, called: str, args: RepositoriesArgs) -> None:
        repository = ecr.Repository(
            name,
            name=called,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(
                scan_on_push=True
            ),
            encryption_configurations=[
                ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key)
            ],
            force_delete=False,
            opts=self._options,
        )
        ecr.LifecyclePolicy(
            f"{name}-lifecycle",
            repository=repository.name,
            policy=json.dumps({"rules": _rules(args.settings.keep_images)}),
            opts=self._options,
        )

    def _cache(self, name: str, upstream: str) -> None:
        prefix = UPSTREAMS[upstream]
        template = ecr.RepositoryCreationTemplate(
            f"{name}-{prefix}-template",
            prefix=prefix,
            applied_fors=["PULL_THROUGH_CACHE"],
            description=f"Images of {upstream}, kept {CACHED_DAYS} days after their pull",
            # An upstream's tags move: a cache follows them, and pods name digests.
            image_tag_mutability="MUTABLE",
            encryption_configurations=[
                ecr.RepositoryCreationTemplateEncryptionConfigurationArgs(encryption_type="AES256")
            ],
            lifecycle_policy=json.dumps({"rules": [_expire(1, "any", CACHED_DAYS)]}),
            opts=self._options,
        )
        ecr.PullThroughCacheRule(
            f"{name}-{prefix}",
            ecr_repository_prefix=prefix,
            upstream_registry_url=upstream,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[template]),
        )


def _rules(keep: int) -> list[dict[str, object]]:
    """What was replaced goes soon, and of the rest the newest stay."""
    newest = {
        "rulePriority": 2,
        "description": f"the newest {keep} images stay",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep},
        "action": {"type": "expire"},
    }
    return [_expire(1, "untagged", UNTAGGED_DAYS), newest]


def _expire(priority: int, status: str, days: int) -> dict[str, object]:
    return {
        "rulePriority": priority,
        "description": f"{status} images go after {days} days",
        "selection": {
            "tagStatus": status,
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": days,
        },
        "action": {"type": "expire"},
    }
