"""Resources of an account that a rule refuses or allows."""

import json
from dataclasses import dataclass, field
from typing import Any

from infra.policy.accounts import TAGS
from infra.policy.inputs import UNKNOWN

BUCKET = "aws:s3/bucket:Bucket"
CLUSTER = "aws:eks/cluster:Cluster"
BUDGET = "aws:budgets/budget:Budget"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
SECRETS = {"resources": ["secrets"], "provider": {"keyArn": "arn:key"}}
CLOSED = {
    "blockPublicAcls": True,
    "blockPublicPolicy": True,
    "ignorePublicAcls": True,
    "restrictPublicBuckets": True,
}


@dataclass(frozen=True)
class AccountCase:
    """One resource and the rule that it is about."""

    rule: str
    says: str
    kind: str
    inputs: dict[str, Any] = field(default_factory=dict)
    default_tags: Any = field(default_factory=lambda: dict.fromkeys(TAGS, "x"))
    environment: str = "dev"

    def __str__(self) -> str:
        return f"{self.rule}: {self.says}"


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | statement]})


def cluster(**network: Any) -> dict[str, Any]:
    return {"vpcConfig": network, "encryptionConfig": SECRETS}


def template(*, encrypted: Any = "true", tagged: bool = True, **more: Any) -> dict[str, Any]:
    tags = {"modelyard:environment": "dev", "modelyard:pool": "gpu"} if tagged else {}
    return {
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": encrypted}}],
        "tagSpecifications": [
            {"resourceType": kind, "tags": tags} for kind in ("instance", "volume")
        ],
    } | more


def budget(amount: Any, **more: Any) -> dict[str, Any]:
    return {"limitAmount": amount, "limitUnit": "USD", "timeUnit": "MONTHLY"} | more


PUBLIC, ENCRYPTED, RIGHTS = "nothing-public", "encrypted", "least-rights"

REFUSED = [
    AccountCase(PUBLIC, "an API server for all", CLUSTER, cluster(endpointPublicAccess=True)),
    AccountCase(PUBLIC, "an API server of which nothing is said", CLUSTER, cluster()),
    AccountCase(
        PUBLIC,
        "an API server for the range of everybody",
        CLUSTER,
        cluster(endpointPublicAccess=True, publicAccessCidrs=["192.0.2.0/24", "0.0.0.0/0"]),
    ),
    AccountCase(
        PUBLIC,
        "a database with a public address",
        "aws:rds/instance:Instance",
        {"publiclyAccessible": True, "storageEncrypted": True},
    ),
    AccountCase(PUBLIC, "a load balancer for all", "aws:lb/loadBalancer:LoadBalancer", {}),
    AccountCase(
        PUBLIC,
        "a subnet of public addresses",
        "aws:ec2/subnet:Subnet",
        {"mapPublicIpOnLaunch": True},
    ),
    AccountCase(PUBLIC, "a rule that lets in all", RULE, {"cidrIpv4": "0.0.0.0/0"}),
    AccountCase(PUBLIC, "a rule that lets in all of IPv6", RULE, {"cidrIpv6": "::/0"}),
    AccountCase(
        PUBLIC,
        "a group that lets in all",
        "aws:ec2/securityGroup:SecurityGroup",
        {"ingress": [{"cidrBlocks": ["0.0.0.0/0"], "fromPort": 22}]},
    ),
    AccountCase(
        PUBLIC,
        "a node with a public address",
        TEMPLATE,
        template(networkInterfaces=[{"associatePublicIpAddress": "true"}]),
    ),
    AccountCase(PUBLIC, "a bucket half open", BLOCK, CLOSED | {"blockPublicPolicy": False}),
    AccountCase(PUBLIC, "a bucket that all may read", BUCKET, {"acl": "public-read"}),
    AccountCase(
        PUBLIC,
        "a bucket's policy for anybody",
        POLICY,
        {"policy": document(Principal="*", Action="s3:GetObject", Resource="arn:b/*")},
    ),
    AccountCase(
        PUBLIC,
        "a policy for any account",
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        {"policy": document(Principal={"AWS": ["*"]}, Action="ecr:*", Resource="*")},
    ),
    AccountCase(
        ENCRYPTED,
        "a database in the open",
        "aws:rds/instance:Instance",
        {"storageEncrypted": False},
    ),
    AccountCase(
        ENCRYPTED,
        "Kubernetes' secrets in the open",
        CLUSTER,
        {"vpcConfig": {"endpointPublicAccess": False}},
    ),
    AccountCase(ENCRYPTED, "a disk in the open", TEMPLATE, template(encrypted="false")),
    AccountCase(
        ENCRYPTED, "a disk as the image has it", TEMPLATE, template(blockDeviceMappings=[])
    ),
    AccountCase(ENCRYPTED, "a volume in the open", "aws:ebs/volume:Volume", {}),
    AccountCase(ENCRYPTED, "a log without a key", "aws:cloudwatch/logGroup:LogGroup", {}),
    AccountCase(ENCRYPTED, "a secret without a key", "aws:secretsmanager/secret:Secret", {}),
    AccountCase(
        ENCRYPTED,
        "images with AWS's own key",
        "aws:ecr/repository:Repository",
        {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
    ),
    AccountCase(
        ENCRYPTED,
        "objects with AWS's own key",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    ),
    AccountCase(ENCRYPTED, "a key that never rotates", "aws:kms/key:Key", {}),
    AccountCase(
        RIGHTS, "every action", ROLE_POLICY, {"policy": document(Action="*", Resource="arn:b")}
    ),
    AccountCase(
        RIGHTS, "a whole service", ROLE_POLICY, {"policy": document(Action=["s3:*"], Resource="b")}
    ),
    AccountCase(
        RIGHTS,
        "all but some actions",
        ROLE_POLICY,
        {"policy": document(NotAction=["iam:*"], Resource="arn:b")},
    ),
    AccountCase(
        RIGHTS,
        "a change of everything",
        ROLE_POLICY,
        {"policy": document(Action=["ec2:TerminateInstances"], Resource=["*"])},
    ),
    AccountCase(
        RIGHTS,
        "a role for anybody",
        "aws:iam/role:Role",
        {"assumeRolePolicy": document(Principal={"AWS": "*"}, Action="sts:AssumeRole")},
    ),
    AccountCase(
        RIGHTS,
        "an administrator",
        ATTACHMENT,
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    AccountCase(
        RIGHTS,
        "all of a service by AWS's own policy",
        ATTACHMENT,
        {"policyArn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"},
    ),
    AccountCase("cost-tags", "no tags at all", BUCKET, {}, default_tags=None),
    AccountCase("cost-tags", "one tag too few", BUCKET, {}, {"modelyard:environment": "dev"}),
    AccountCase("cost-tags", "nodes that tell no costs", TEMPLATE, template(tagged=False)),
    AccountCase("budget-ceiling", "a budget over the ceiling", BUDGET, budget("2001")),
    AccountCase("budget-ceiling", "a budget a year", BUDGET, budget("10", timeUnit="ANNUALLY")),
    AccountCase("budget-ceiling", "a budget in gigabytes", BUDGET, budget("10", limitUnit="GB")),
    AccountCase(
        "budget-ceiling", "an environment of no ceiling", BUDGET, budget("10"), environment="lab"
    ),
]

ALLOWED = [
    AccountCase(PUBLIC, "a private API server", CLUSTER, cluster(endpointPublicAccess=False)),
    AccountCase(
        PUBLIC,
        "an API server for named ranges",
        CLUSTER,
        cluster(endpointPublicAccess=True, publicAccessCidrs=["192.0.2.0/24"]),
    ),
    AccountCase(
        PUBLIC, "an internal balancer", "aws:lb/loadBalancer:LoadBalancer", {"internal": True}
    ),
    AccountCase(PUBLIC, "a rule for the VPC", RULE, {"cidrIpv4": "10.0.0.0/16"}),
    AccountCase(
        PUBLIC,
        "a rule outward",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        {"type": "egress", "cidrBlocks": ["0.0.0.0/0"]},
    ),
    AccountCase(PUBLIC, "a closed bucket", BLOCK, CLOSED),
    AccountCase(
        PUBLIC,
        "a denial for anybody",
        POLICY,
        {"policy": document(Effect="Deny", Principal="*", Action="s3:*", Resource="*")},
    ),
    AccountCase(PUBLIC, "a policy that is not known yet", POLICY, {"policy": UNKNOWN}),
    AccountCase(
        ENCRYPTED,
        "a database with a key",
        "aws:rds/instance:Instance",
        {"storageEncrypted": True, "publiclyAccessible": False},
    ),
    AccountCase(ENCRYPTED, "a disk with a key", TEMPLATE, template()),
    AccountCase(
        ENCRYPTED,
        "a log whose key is not known yet",
        "aws:cloudwatch/logGroup:LogGroup",
        {"kmsKeyId": UNKNOWN},
    ),
    AccountCase(ENCRYPTED, "a key that rotates", "aws:kms/key:Key", {"enableKeyRotation": True}),
    AccountCase(
        RIGHTS,
        "named actions on named resources",
        ROLE_POLICY,
        {"policy": document(Action=["s3:PutObject"], Resource=["arn:b/*"])},
    ),
    AccountCase(
        RIGHTS,
        "looking at everything",
        ROLE_POLICY,
        {"policy": document(Action=["ec2:Describe*", "eks:ListClusters"], Resource="*")},
    ),
    AccountCase(
        RIGHTS,
        "a change bound by a condition",
        ROLE_POLICY,
        {
            "policy": document(
                Action=["autoscaling:SetDesiredCapacity"],
                Resource="*",
                Condition={"StringEquals": {"aws:ResourceTag/a": "b"}},
            )
        },
    ),
    AccountCase(
        RIGHTS,
        "a key's own policy, which must name all of the key",
        "aws:kms/key:Key",
        {
            "enableKeyRotation": True,
            "policy": document(
                Principal={"AWS": "arn:aws:iam::1:root"}, Action="kms:*", Resource="*"
            ),
        },
    ),
    AccountCase(
        RIGHTS,
        "AWS's own policy of a node",
        ATTACHMENT,
        {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"},
    ),
    AccountCase("cost-tags", "default tags", BUCKET),
    AccountCase("cost-tags", "tags of its own", BUCKET, {"tags": dict.fromkeys(TAGS, "x")}, None),
    AccountCase("cost-tags", "default tags that are not known yet", BUCKET, {}, UNKNOWN),
    AccountCase("budget-ceiling", "a budget at the ceiling", BUDGET, budget("2000")),
]
