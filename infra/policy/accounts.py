"""Faults of an account's resources, in their inputs as pulumi-aws has them.

Each function takes a resource's type and inputs and gives one text per fault. What is not known yet
is no fault in a preview; `up` asks again.
"""

from collections.abc import Callable
from typing import Any

from infra.policy import documents
from infra.policy.inputs import UNKNOWN, at, items

Inputs = dict[str, Any]

EVERYBODY = ("0.0.0.0/0", "::/0")
TAGS = ("modelyard:environment", "modelyard:component", "modelyard:managed-by")
"""Whose costs a resource makes. Cost allocation tags of the account."""
ON_NODES = ("modelyard:environment", "modelyard:pool")
"""What a node group's instances and volumes carry: no default tag reaches them."""


def public(kind: str, inputs: Inputs) -> list[str]:
    """Whatever lets the internet in."""
    checks = _PUBLIC.get(_short(kind))
    faults = checks(inputs) if checks else []
    if "aws:iam/" not in kind:
        faults += [
            f"policy: anybody may {', '.join(documents.listed(statement.get('Action')))}"
            for statement in documents.allowed(inputs.get("policy"))
            if documents.anybody(statement) and not statement.get("Condition")
        ]
    return faults


def open_text(kind: str, inputs: Inputs) -> list[str]:
    """Whatever is stored, or logged, without a key of ours."""
    checks = _ENCRYPTED.get(_short(kind))
    return checks(inputs) if checks else []


def untagged(kind: str, inputs: Inputs, defaults: Any) -> list[str]:
    """Tags that neither the resource has nor its provider's default tags."""
    if defaults is UNKNOWN or inputs.get("tags") is UNKNOWN:
        return []
    have = {*(defaults or {}), *(inputs.get("tags") or {})}
    faults = [f"no tag {key}" for key in TAGS if key not in have]
    if kind.endswith(":LaunchTemplate"):
        carried = {
            at(one, "resourceType"): at(one, "tags") or {}
            for one in items(inputs.get("tagSpecifications"))
        }
        faults += [
            f"{what}: no tag {key}"
            for what in ("instance", "volume")
            for key in ON_NODES
            if carried.get(what) is not UNKNOWN and key not in carried.get(what, {})
        ]
    return faults


def over_budget(kind: str, inputs: Inputs, ceiling: int | None) -> list[str]:
    """A budget that is no bound: over the environment's ceiling, or not in dollars a month."""
    if kind != "aws:budgets/budget:Budget" or inputs.get("limitAmount") is UNKNOWN:
        return []
    if ceiling is None:
        return ["the environment has no ceiling"]
    faults = []
    if (inputs.get("limitUnit"), inputs.get("timeUnit")) != ("USD", "MONTHLY"):
        faults.append(f"a budget in {inputs.get('limitUnit')}, {inputs.get('timeUnit')}")
    if float(inputs.get("limitAmount") or "inf") > ceiling:
        faults.append(f"{inputs.get('limitAmount')} USD a month; the ceiling is {ceiling}")
    return faults


def _cluster(inputs: Inputs) -> list[str]:
    network = inputs.get("vpcConfig")
    if at(network, "endpointPublicAccess") in (False, UNKNOWN):
        return []
    ranges = at(network, "publicAccessCidrs")
    if ranges is UNKNOWN:
        return []
    if not items(ranges):
        return ["vpcConfig: the API server answers the internet (endpointPublicAccess)"]
    return [f"vpcConfig: publicAccessCidrs {one}" for one in items(ranges) if one in EVERYBODY]


def _true(*names: str) -> Callable[[Inputs], list[str]]:
    """Faults of a type whose properties must be true."""
    return lambda inputs: [
        f"{name} is not true" for name in names if inputs.get(name) not in (True, "true", UNKNOWN)
    ]


def _not_true(*names: str) -> Callable[[Inputs], list[str]]:
    """Faults of a type whose properties must not be true."""
    return lambda inputs: [
        f"{name} is true" for name in names if inputs.get(name) in (True, "true")
    ]


def _set(name: str) -> Callable[[Inputs], list[str]]:
    """Faults of a type that must name something."""
    return lambda inputs: [] if inputs.get(name) else [f"no {name}"]


def _ranges(inputs: Inputs) -> list[str]:
    """Ranges of a rule that lets in."""
    if inputs.get("type") == "egress":
        return []
    found = [inputs.get("cidrIpv4"), inputs.get("cidrIpv6")]
    found += [*items(inputs.get("cidrBlocks")), *items(inputs.get("ipv6CidrBlocks"))]
    return [f"lets in {one}" for one in found if one in EVERYBODY]


def _group(inputs: Inputs) -> list[str]:
    return [f for one in items(inputs.get("ingress")) if one is not UNKNOWN for f in _ranges(one)]


def _interfaces(inputs: Inputs) -> list[str]:
    return [
        fault
        for one in items(inputs.get("networkInterfaces"))
        if isinstance(one, dict)
        for fault in _not_true("associatePublicIpAddress")(one)
    ]


def _acl(inputs: Inputs) -> list[str]:
    acl = inputs.get("acl")
    public_acl = isinstance(acl, str) and acl.startswith(("public-", "authenticated-"))
    return [f"acl {acl}"] if public_acl else []


def _disks(inputs: Inputs) -> list[str]:
    mappings = items(inputs.get("blockDeviceMappings"))
    faults = [
        f"{at(one, 'deviceName')}: encrypted is not true"
        for one in mappings
        if at(one, "ebs", "encrypted") not in (True, "true", UNKNOWN)
    ]
    return faults if mappings else ["no blockDeviceMappings: the image decides on encryption"]


def _of_cluster(inputs: Inputs) -> list[str]:
    resources = at(inputs, "encryptionConfig", "resources")
    return [] if resources is UNKNOWN or "secrets" in items(resources) else ["no encryptionConfig"]


def _of_repository(inputs: Inputs) -> list[str]:
    kinds = [at(one, "encryptionType") for one in items(inputs.get("encryptionConfigurations"))]
    return [] if kinds and set(kinds) <= {"KMS", UNKNOWN} else ["encryptionType is not KMS"]


def _of_bucket(inputs: Inputs) -> list[str]:
    kinds = [
        at(one, "applyServerSideEncryptionByDefault", "sseAlgorithm")
        for one in items(inputs.get("rules"))
    ]
    good = {"aws:kms", "aws:kms:dsse", UNKNOWN}
    return [] if kinds and set(kinds) <= good else ["sseAlgorithm is not aws:kms"]


_PUBLIC: dict[str, Callable[[Inputs], list[str]]] = {
    "s3.BucketAcl": _acl,
    "s3.Bucket": _acl,
    "s3.BucketPublicAccessBlock": _true(
        "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"
    ),
    "eks.Cluster": _cluster,
    "ec2.DefaultSecurityGroup": _group,
    "ec2.LaunchTemplate": _interfaces,
    "lb.LoadBalancer": _true("internal"),
    "ec2.SecurityGroup": _group,
    "vpc.SecurityGroupIngressRule": _ranges,
    "ec2.SecurityGroupRule": _ranges,
    "ec2.Subnet": _not_true("mapPublicIpOnLaunch"),
    "ec2.Instance": _not_true("associatePublicIpAddress"),
    "rds.ClusterInstance": _not_true("publiclyAccessible"),
    "rds.Instance": _not_true("publiclyAccessible"),
}
_ENCRYPTED: dict[str, Callable[[Inputs], list[str]]] = {
    "s3.BucketServerSideEncryptionConfiguration": _of_bucket,
    "eks.Cluster": _of_cluster,
    "efs.FileSystem": _true("encrypted"),
    "kms.Key": _true("enableKeyRotation"),
    "ec2.LaunchTemplate": _disks,
    "cloudwatch.LogGroup": _set("kmsKeyId"),
    "ecr.Repository": _of_repository,
    "rds.Cluster": _true("storageEncrypted"),
    "rds.Instance": _true("storageEncrypted"),
    "secretsmanager.Secret": _set("kmsKeyId"),
    "sns.Topic": _set("kmsMasterKeyId"),
    "ebs.Volume": _true("encrypted"),
}


def _short(kind: str) -> str:
    """``aws:rds/instance:Instance`` as ``rds.Instance``."""
    _, module, name = kind.split(":")
    return f"{module.partition('/')[0]}.{name}"
