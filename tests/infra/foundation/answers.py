"""What AWS would add to a resource, by type: for the recording engine. Invented, and looks so."""

from collections.abc import Callable
from typing import Any

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]


def _arn(service: str) -> Answer:
    return lambda name, inputs: {"arn": f"arn:aws:{service}:test:{name}"}


def _cluster(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:eks:test:{name}",
        "endpoint": "https://cluster.invalid",
        "certificateAuthority": {"data": "YXV0aG9yaXR5"},
        "vpcConfig": inputs["vpcConfig"] | {"clusterSecurityGroupId": "sg-cluster"},
    }


ANSWERS: dict[str, Answer] = {
    "aws:ec2/subnet:Subnet": lambda name, inputs: {
        "availabilityZone": f"name-of-{inputs['availabilityZoneId']}"
    },
    "aws:ec2/launchTemplate:LaunchTemplate": lambda name, inputs: {"latestVersion": 1},
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": lambda name, inputs: {
        "resources": [{"autoscalingGroups": [{"name": f"eks-{inputs['nodeGroupNamePrefix']}1"}]}]
    },
    "aws:kms/key:Key": lambda name, inputs: {
        "arn": f"arn:aws:kms:test:{name}",
        "keyId": f"{name}-number",
    },
    "aws:lb/loadBalancer:LoadBalancer": lambda name, inputs: {
        "arn": f"arn:aws:lb:test:{name}",
        "dnsName": "balancer.invalid",
    },
    "aws:rds/instance:Instance": lambda name, inputs: {
        "endpoint": f"{inputs['identifier']}.invalid:5432",
        "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:test:{name}"}],
    },
    **{
        kind: _arn(kind.split("/")[0].removeprefix("aws:"))
        for kind in (
            "aws:cloudwatch/logGroup:LogGroup",
            "aws:ecr/repository:Repository",
            "aws:iam/role:Role",
            "aws:lb/targetGroup:TargetGroup",
            "aws:s3/bucket:Bucket",
            "aws:secretsmanager/secret:Secret",
        )
    },
}
