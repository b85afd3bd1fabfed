"""EKS add-ons at pinned versions: those that nodes need to start, and those that need nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import ec2, eks

from infra.foundation.place import Place
from infra.foundation.pod_role import PodRoleArgs

BEFORE_NODES = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
AFTER_NODES = ("coredns", "aws-ebs-csi-driver")
SYSTEM = "kube-system"


@dataclass(frozen=True, kw_only=True)
class AddonsArgs:
    """Which add-ons, at which versions, after what."""

    place: Place
    cluster: pulumi.Input[str]
    names: Sequence[str]
    versions: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Configuration by add-on; values may be outputs."""
    roles: Mapping[str, tuple[str, pulumi.Input[str]]] = field(default_factory=dict)
    """Service account and role by add-on."""
    after: Sequence[pulumi.Resource] = ()


class Addons(pulumi.ComponentResource):
    """Add-ons that take over what somebody changed by hand."""

    ready: list[pulumi.Resource]

    def __init__(
        self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Addons", name, None, opts)
        self.ready = [self._addon(name, args, one) for one in args.names]
        self.register_outputs({})

    def _addon(self, name: str, args: AddonsArgs, called: str) -> eks.Addon:
        settings = args.settings.get(called)
        role = args.roles.get(called)
        return eks.Addon(
            f"{name}-{called}",
            cluster_name=args.cluster,
            addon_name=called,
            addon_version=args.versions[called],
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            configuration_values=pulumi.Output.json_dumps(settings) if settings else None,
            pod_identity_associations=[
                eks.AddonPodIdentityAssociationArgs(service_account=role[0], role_arn=role[1])
            ]
            if role
            else None,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )


def networking(
    place: Place, pods: Mapping[str, ec2.Subnet], group: pulumi.Input[str]
) -> dict[str, Any]:
    """Configuration of the CNI: pods have a range of their own, and policies are enforced."""
    return {
        "enableNetworkPolicy": "true",
        "env": {
            "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
            "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
            "ENABLE_PREFIX_DELEGATION": "true",
            "WARM_PREFIX_TARGET": "1",
        },
        "eniConfig": {
            "create": True,
            "region": place.region,
            "subnets": pulumi.Output.all(
                *[pulumi.Output.all(one.availability_zone, one.id, group) for one in pods.values()]
            ).apply(
                lambda found: {
                    zone: {"id": subnet, "securityGroups": [security]}
                    for zone, subnet, security in found
                }
            ),
        },
    }


def cni_role(place: Place, cluster: pulumi.Input[str]) -> PodRoleArgs:
    """Rights of the CNI, which nodes then need not have."""
    return PodRoleArgs(
        place=place,
        called="cni",
        cluster=cluster,
        namespace=SYSTEM,
        service_account="aws-node",
        managed=["AmazonEKS_CNI_Policy"],
        associate=False,
    )


def disk_role(place: Place, cluster: pulumi.Input[str], key: pulumi.Input[str]) -> PodRoleArgs:
    """Rights of the EBS driver: volumes, and the key that encrypts them."""
    return PodRoleArgs(
        place=place,
        called="disks",
        cluster=cluster,
        namespace=SYSTEM,
        service_account="ebs-csi-controller-sa",
        managed=["service-role/AmazonEBSCSIDriverPolicy"],
        statements=[
            {
                "Effect": "Allow",
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:DescribeKey",
                ],
                "Resource": [key],
            },
            {
                "Effect": "Allow",
                "Action": ["kms:CreateGrant"],
                "Resource": [key],
                "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            },
        ],
        associate=False,
    )
