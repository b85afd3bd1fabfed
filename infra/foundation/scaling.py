"""Rights of the cluster autoscaler, which changes the size of pools and nothing else."""

import pulumi

from infra.foundation.grants import allow
from infra.foundation.place import Place
from infra.foundation.pod_role import PodRoleArgs

NAMESPACE = "autoscaling"
SERVICE_ACCOUNT = "cluster-autoscaler"


def role(place: Place, cluster: pulumi.Input[str]) -> PodRoleArgs:
    """What AWS asks for to look at all pools, and to change those of this cluster."""
    mine = {"StringEquals": {f"aws:ResourceTag/kubernetes.io/cluster/{place.prefix}": "owned"}}
    return PodRoleArgs(
        place=place,
        called="autoscaler",
        cluster=cluster,
        namespace=NAMESPACE,
        service_account=SERVICE_ACCOUNT,
        statements=[
            # Looking cannot be narrowed to a resource: AWS knows none for these actions.
            allow(
                [
                    "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeAutoScalingInstances",
                    "autoscaling:DescribeLaunchConfigurations",
                    "autoscaling:DescribeScalingActivities",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeLaunchTemplateVersions",
                    "ec2:GetInstanceTypesFromInstanceRequirements",
                ],
                ["*"],
            ),
            allow(
                ["eks:DescribeNodegroup"],
                [place.arn("eks", f"nodegroup/{place.prefix}/*")],
            ),
            allow(
                [
                    "autoscaling:SetDesiredCapacity",
                    "autoscaling:TerminateInstanceInAutoScalingGroup",
                ],
                [place.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/eks-*")],
                mine,
            ),
        ],
    )
