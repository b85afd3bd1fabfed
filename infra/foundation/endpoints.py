"""Ways from the private subnets to AWS that never leave its network."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, vpc

from infra.foundation.place import Place

INTERFACES = ("ecr.api", "ecr.dkr", "sts", "eks-auth")
"""Services that nodes and pods ask all day: images, credentials of roles, pod identity."""


@dataclass(frozen=True, kw_only=True)
class EndpointsArgs:
    """Where the endpoints stand, and who may use them (ranges of nodes and of pods)."""

    place: Place
    vpc: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    tables: Sequence[pulumi.Input[str]]
    ranges: Sequence[str]


class Endpoints(pulumi.ComponentResource):
    """S3 through the route tables, the others through interfaces with one security group."""

    def __init__(
        self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Endpoints", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            f"{name}-group",
            description="HTTPS from nodes and pods to the endpoints of AWS",
            vpc_id=args.vpc,
            tags={"Name": f"{args.place.prefix}-endpoints"},
            opts=options,
        )
        for number, one in enumerate(args.ranges, 1):
            vpc.SecurityGroupIngressRule(
                f"{name}-from-{number}",
                security_group_id=group.id,
                cidr_ipv4=one,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                opts=options,
            )
        ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=args.vpc,
            service_name=f"com.amazonaws.{args.place.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=list(args.tables),
            opts=options,
        )
        for service in INTERFACES:
            ec2.VpcEndpoint(
                f"{name}-{service}",
                vpc_id=args.vpc,
                service_name=f"com.amazonaws.{args.place.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=list(args.subnets),
                security_group_ids=[group.id],
                opts=options,
            )
        self.register_outputs({})
