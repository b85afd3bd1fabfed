"""One pool of nodes: a managed node group that an autoscaler sizes, also from and to zero."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import autoscaling, ec2, eks, vpc

from infra import names
from infra.foundation import node_config, placement
from infra.foundation.place import Place
from infra.foundation.settings import Pool
from infra.foundation.tables import Set

IMAGES = {
    ("x86_64", None): "AL2023_x86_64_STANDARD",
    ("x86_64", "nvidia"): "AL2023_x86_64_NVIDIA",
    ("x86_64", "neuron"): "AL2023_x86_64_NEURON",
    ("arm64", None): "AL2023_ARM_64_STANDARD",
    ("arm64", "nvidia"): "AL2023_ARM_64_NVIDIA",
}
CAPACITIES = {"on-demand": "ON_DEMAND", "spot": "SPOT", "capacity-block": "CAPACITY_BLOCK"}
EFFECTS = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
}
# What the cluster autoscaler reads of a pool that has no node to look at.
TEMPLATE = "k8s.io/cluster-autoscaler/node-template"


@dataclass(frozen=True, kw_only=True)
class NodePoolArgs:
    """The pool as the environment has it, and what its nodes need."""

    place: Place
    pool: Pool
    zones: Sequence[str]
    versions: Set
    cluster: pulumi.Input[str]
    vpc: pulumi.Input[str]
    security_group: pulumi.Input[str]
    role: pulumi.Input[str]
    subnets: Mapping[str, pulumi.Input[str]]
    """Private subnets by zone."""
    disk_key: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class NodePool(pulumi.ComponentResource):
    """Launch template and node group. The autoscaler owns how many nodes there are."""

    group: eks.NodeGroup
    scaling_group: pulumi.Output[str]

    def __init__(
        self, name: str, args: NodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:NodePool", name, None, opts)
        pool = args.pool
        self.group = eks.NodeGroup(
            f"{name}-group",
            cluster_name=args.cluster,
            # A prefix: the successor of a group comes up beside it, and then it drains.
            node_group_name_prefix=f"{pool.name}-",
            node_role_arn=args.role,
            ami_type=IMAGES[pool.arch, pool.accelerator.kind if pool.accelerator else None],
            release_version=args.versions.image_release,
            version=args.versions.kubernetes,
            capacity_type=CAPACITIES[pool.capacity],
            # One type stands in the template, where a change of it replaces node after node; a
            # list of types can only stand here, where it replaces the group.
            instance_types=None if _one_type(pool) else list(pool.instance_types),
            subnet_ids=[args.subnets[zone] for zone in args.zones],
            launch_template=_reference(self._template(name, args)),
            scaling_config=eks.NodeGroupScalingConfigArgs(
                min_size=pool.min, desired_size=pool.min, max_size=pool.max
            ),
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable_percentage=33),
            node_repair_config=eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            labels=placement.labels(pool),
            taints=[_taint(one) for one in placement.taints(pool)],
            # Where costs are told by pool; a value may hold spaces, and no commas.
            tags={
                "modelyard:pool": pool.name,
                "modelyard:instance-types": " ".join(pool.instance_types),
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.after),
                ignore_changes=["scalingConfig.desiredSize"],
            ),
        )
        self.scaling_group = self.group.resources.apply(
            lambda found: found[0].autoscaling_groups[0].name
        )
        self._describe(name, pool)
        self.register_outputs({"scaling_group": self.scaling_group})

    def _template(self, name: str, args: NodePoolArgs) -> ec2.LaunchTemplate:
        pool = args.pool
        groups = [args.security_group, *([self._fabric(name, args)] if pool.efa else [])]
        return ec2.LaunchTemplate(
            f"{name}-template",
            name=f"{args.place.prefix}-{pool.name}",
            update_default_version=True,
            instance_type=_one_type(pool),
            user_data=base64.b64encode(node_config.text(pool, args.versions).encode()).decode(),
            block_device_mappings=[_disk(pool, args.disk_key)],
            # IMDSv2 alone, and out of reach for pods.
            metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            monitoring=ec2.LaunchTemplateMonitoringArgs(enabled=True),
            vpc_security_group_ids=None if pool.efa else groups,
            network_interfaces=_interfaces(pool, groups) if pool.efa else None,
            placement=self._placement(name, args),
            instance_market_options=ec2.LaunchTemplateInstanceMarketOptionsArgs(
                market_type="capacity-block"
            )
            if pool.reservation
            else None,
            capacity_reservation_specification=_reservation(pool.reservation)
            if pool.reservation
            else None,
            tag_specifications=[
                ec2.LaunchTemplateTagSpecificationArgs(
                    resource_type=kind,
                    tags={
                        "Name": f"{args.place.prefix}-{pool.name}",
                        "modelyard:environment": args.place.environment,
                        "modelyard:pool": pool.name,
                    },
                )
                for kind in ("instance", "volume", "network-interface")
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _placement(self, name: str, args: NodePoolArgs) -> ec2.LaunchTemplatePlacementArgs | None:
        if not args.pool.placement_group:
            return None
        group = ec2.PlacementGroup(
            f"{name}-placement",
            name=f"{args.place.prefix}-{args.pool.name}",
            strategy="cluster",
            opts=pulumi.ResourceOptions(parent=self),
        )
        return ec2.LaunchTemplatePlacementArgs(group_name=group.name)

    def _fabric(self, name: str, args: NodePoolArgs) -> pulumi.Output[str]:
        """EFA passes only between members of a group that names itself, inward and outward."""
        options = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            f"{name}-fabric",
            description="Elastic fabric between the nodes of one pool",
            vpc_id=args.vpc,
            tags={"Name": f"{args.place.prefix}-{args.pool.name}-fabric"},
            opts=options,
        )
        for rule in (vpc.SecurityGroupIngressRule, vpc.SecurityGroupEgressRule):
            rule(
                f"{name}-fabric-{'in' if 'Ingress' in rule.__name__ else 'out'}",
                security_group_id=group.id,
                referenced_security_group_id=group.id,
                ip_protocol="-1",
                opts=options,
            )
        made: pulumi.Output[str] = group.id
        return made

    def _describe(self, name: str, pool: Pool) -> None:
        """Tags from which an autoscaler knows what a node of an empty pool would be."""
        tags = {
            "k8s.io/cluster-autoscaler/enabled": "true",
            **{f"{TEMPLATE}/label/{key}": text for key, text in placement.labels(pool).items()},
            f"{TEMPLATE}/resources/ephemeral-storage": f"{pool.disk_gib}Gi",
        }
        for taint in placement.taints(pool):
            key, text, effect = names.taint(taint)
            tags[f"{TEMPLATE}/taint/{key}"] = f"{text}:{effect}"
        if pool.accelerator:
            resource = placement.RESOURCES[pool.accelerator.kind]
            tags[f"{TEMPLATE}/resources/{resource}"] = str(placement.devices(pool))
        for key, text in tags.items():
            autoscaling.Tag(
                f"{name}-tag-{key.removeprefix('k8s.io/cluster-autoscaler/')}",
                autoscaling_group_name=self.scaling_group,
                tag=autoscaling.TagTagArgs(key=key, value=text, propagate_at_launch=False),
                opts=pulumi.ResourceOptions(parent=self),
            )


def _one_type(pool: Pool) -> str | None:
    """The pool's only instance type; None where it has several."""
    return pool.instance_types[0] if len(pool.instance_types) == 1 else None


def _reference(template: ec2.LaunchTemplate) -> eks.NodeGroupLaunchTemplateArgs:
    return eks.NodeGroupLaunchTemplateArgs(
        id=template.id, version=template.latest_version.apply(str)
    )


def _taint(text: str) -> eks.NodeGroupTaintArgs:
    key, content, effect = names.taint(text)
    return eks.NodeGroupTaintArgs(key=key, value=content, effect=EFFECTS[effect])


def _disk(pool: Pool, key: pulumi.Input[str]) -> ec2.LaunchTemplateBlockDeviceMappingArgs:
    return ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name="/dev/xvda",
        ebs=ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_size=pool.disk_gib,
            volume_type="gp3",
            encrypted="true",
            kms_key_id=key,
            delete_on_termination="true",
        ),
    )


def _interfaces(
    pool: Pool, groups: Sequence[pulumi.Input[str]]
) -> list[ec2.LaunchTemplateNetworkInterfaceArgs]:
    """The first adapter also carries IP; the others, one on each further card, only the fabric."""
    (instance,) = placement.types(pool)
    return [
        ec2.LaunchTemplateNetworkInterfaceArgs(
            device_index=0 if card == 0 else 1,
            network_card_index=card,
            interface_type="efa" if card == 0 else "efa-only",
            security_groups=list(groups),
            delete_on_termination="true",
        )
        for card in range(min(instance.efa, instance.network_cards))
    ]


def _reservation(
    reservation: str,
) -> ec2.LaunchTemplateCapacityReservationSpecificationArgs:
    return ec2.LaunchTemplateCapacityReservationSpecificationArgs(
        capacity_reservation_preference="capacity-reservations-only",
        capacity_reservation_target=(
            ec2.LaunchTemplateCapacityReservationSpecificationCapacityReservationTargetArgs(
                capacity_reservation_id=reservation
            )
        ),
    )
