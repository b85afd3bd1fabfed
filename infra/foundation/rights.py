"""What CI may do in an account, as documents: preview reads, ship releases models, deploy builds.

A preview makes no invokes, so it needs Pulumi's state and nothing of the account. The deploy role
is made by `yard bootstrap` (nothing else exists yet), the others by the foundation.
"""

from infra.foundation.grants import Statement, allow
from infra.foundation.place import GITHUB, Place

MODELS = "modelyard-models"
SHIPPERS = "modelyard:shippers"
"""Kubernetes group of the ship role; the platform gives it rights to release models."""

VERBS = ("Create", "Delete", "Describe", "Get", "List", "Modify", "Put", "Tag", "Untag")


def provider(place: Place) -> str:
    """ARN of the account's OIDC provider for GitHub."""
    return f"arn:aws:iam::{place.account}:oidc-provider/{GITHUB}"


def subject_of_pull_requests(repository: str) -> str:
    """Runs for pull requests from branches of the repository; a fork's get no token at all."""
    return f"repo:{repository}:pull_request"


def subject_of_branch(repository: str, branch: str) -> str:
    """Runs on one branch."""
    return f"repo:{repository}:ref:refs/heads/{branch}"


def subject_of_environment(repository: str, environment: str) -> str:
    """Runs that the protection rules of a GitHub environment let through."""
    return f"repo:{repository}:environment:{environment}"


def preview(place: Place, key: str) -> list[Statement]:
    """Read Pulumi's state; ``key`` is the ARN that its alias stands for, or a pattern of it."""
    bucket = f"arn:aws:s3:::{place.state_bucket}"
    return [
        allow(["s3:ListBucket"], [bucket]),
        allow(["s3:GetObject"], [f"{bucket}/*"]),
        allow(["kms:Decrypt", "kms:DescribeKey"], [key], _alias(place)),
    ]


def ship(place: Place, key: str) -> list[Statement]:
    """Push images of models, and write the state of the project of models alone."""
    bucket = f"arn:aws:s3:::{place.state_bucket}"
    own = [
        f"{bucket}/.pulumi/{folder}/{MODELS}/*"
        for folder in ("stacks", "locks", "history", "backups")
    ]
    # A lock's path names the organization first.
    own.append(f"{bucket}/.pulumi/locks/organization/{MODELS}/*")
    return [
        *preview(place, key),
        allow(["s3:PutObject", "s3:DeleteObject"], own),
        allow(["kms:Encrypt", "kms:GenerateDataKey"], [key], _alias(place)),
        # It names no repository: the token serves all of them, rights decide what it opens.
        allow(["ecr:GetAuthorizationToken"], ["*"]),
        allow(
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImages",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            [place.arn("ecr", "repository/models/*")],
        ),
        allow(["eks:DescribeCluster"], [place.arn("eks", f"cluster/{place.prefix}")]),
    ]


def deploy(place: Place) -> list[Statement]:
    """Everything that the foundation makes, service by service, and roles by our prefix only."""
    bucket = f"arn:aws:s3:::{place.state_bucket}"
    account = f"arn:aws:iam::{place.account}"
    roles = f"{account}:role/{place.prefix}-*"
    in_region = {"StringEquals": {"aws:RequestedRegion": place.region}}
    services = {
        "autoscaling": ["Attach", "Detach", "Create", "Delete", "Describe", "Update"],
        "ec2": [
            *(*VERBS, "Allocate", "Associate", "Attach", "Authorize", "Detach", "Disable"),
            *("Disassociate", "Enable", "Release", "Replace", "Reset", "Revoke", "Run"),
        ],
        "ecr": [*VERBS, "Batch", "Complete", "Initiate", "Set", "Start", "Update", "Upload"],
        "eks": [*VERBS, "Associate", "Disassociate", "Update"],
        "elasticloadbalancing": [*VERBS, "Add", "Remove", "Set", "Register", "Deregister"],
        "kms": [
            *(*VERBS, "Decrypt", "Disable", "Enable", "Encrypt", "Generate", "Schedule"),
            *("ReEncrypt", "Update"),
        ],
        "logs": [*VERBS, "Associate", "Disassociate"],
        "rds": [*VERBS, "Add", "Remove", "Reset", "Start"],
        "secretsmanager": [*VERBS, "Restore", "Rotate", "Update"],
    }
    return [
        *(
            allow([f"{service}:{verb}*" for verb in sorted(set(named))], ["*"], in_region)
            for service, named in services.items()
        ),
        allow(
            [f"s3:{verb}*" for verb in ("Create", "Get", "List", "Put", "Delete", "Tag", "Untag")],
            [f"arn:aws:s3:::{place.prefix}-*", f"arn:aws:s3:::{place.prefix}-*/*"],
        ),
        allow(
            [f"iam:{verb}*" for verb in (*VERBS, "Add", "Attach", "Detach", "Remove", "Update")],
            [roles, provider(place)],
        ),
        allow(
            ["iam:PassRole"],
            [roles],
            {
                "StringEquals": {
                    "iam:PassedToService": [
                        "ec2.amazonaws.com",
                        "eks.amazonaws.com",
                        "pods.eks.amazonaws.com",
                        "vpc-flow-logs.amazonaws.com",
                    ]
                }
            },
        ),
        allow(
            ["iam:CreateServiceLinkedRole"],
            [f"{account}:role/aws-service-role/*"],
        ),
        allow(
            [f"budgets:{verb}" for verb in ("ViewBudget", "ModifyBudget", "TagResource")]
            + ["budgets:ListTagsForResource", "budgets:UntagResource"],
            [f"arn:aws:budgets::{place.account}:budget/{place.prefix}-*"],
        ),
        {
            # Whoever deploys neither widens its own rights nor loses the state.
            "Effect": "Deny",
            "Action": [
                "iam:AttachRolePolicy",
                "iam:DeleteRole",
                "iam:PutRolePolicy",
                "iam:UpdateAssumeRolePolicy",
            ],
            "Resource": [place.role("deploy")],
        },
        {
            "Effect": "Deny",
            "Action": ["s3:DeleteBucket", "s3:PutBucketPolicy", "s3:PutBucketVersioning"],
            "Resource": [bucket],
        },
    ]


def _alias(place: Place) -> dict[str, dict[str, str]]:
    """The key of the state, whose id nobody knows before `yard bootstrap` has made it."""
    return {"StringEquals": {"kms:ResourceAliases": place.state_key}}
