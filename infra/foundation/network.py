"""The VPC: private subnets for nodes and pods, public ones for NAT, data ones for databases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi_aws import ec2

from infra.foundation import subnets
from infra.foundation.place import Place

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Ranges and zones. ``nat``: one gateway for all zones, or one in each."""

    place: Place
    hosts: str
    pods: str
    zones: Sequence[str]
    nat: Literal["one", "per-zone"]


class Network(pulumi.ComponentResource):
    """A VPC over three zones, in which nothing but NAT gateways has a public address."""

    vpc: pulumi.Output[str]
    private: dict[str, ec2.Subnet]
    """Subnets of nodes, endpoints and load balancers, by zone."""
    pods: dict[str, ec2.Subnet]
    data: dict[str, ec2.Subnet]
    tables: list[pulumi.Output[str]]
    """Route tables of all private subnets."""

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Network", name, None, opts)
        self._name, self._args = name, args
        self._options = pulumi.ResourceOptions(parent=self)
        plan = subnets.layout(args.hosts, args.pods)
        vpc = ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.hosts,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._options,
        )
        self.vpc = vpc.id
        second = ec2.VpcIpv4CidrBlockAssociation(
            f"{name}-pods", vpc_id=vpc.id, cidr_block=args.pods, opts=self._options
        )
        # What nobody gave a security group of its own may talk to nobody.
        ec2.DefaultSecurityGroup(
            f"{name}-default", vpc_id=vpc.id, ingress=[], egress=[], opts=self._options
        )
        public = self._subnets("public", plan.public, vpc.id)
        self.private = self._subnets("private", plan.private, vpc.id)
        self.data = self._subnets("data", plan.data, vpc.id)
        self.pods = self._subnets("pods", plan.pods, second.vpc_id)
        self.tables = self._routes(vpc, public)
        self.register_outputs({"vpc": self.vpc})

    def _subnets(
        self, kind: str, ranges: Sequence[object], vpc: pulumi.Input[str]
    ) -> dict[str, ec2.Subnet]:
        return {
            zone: ec2.Subnet(
                f"{self._name}-{kind}-{number}",
                vpc_id=vpc,
                cidr_block=str(one),
                availability_zone_id=zone,
                map_public_ip_on_launch=False,
                tags=self._tags(f"{kind}-{number}"),
                opts=self._options,
            )
            for number, (zone, one) in enumerate(zip(self._args.zones, ranges, strict=True), 1)
        }

    def _routes(self, vpc: ec2.Vpc, public: dict[str, ec2.Subnet]) -> list[pulumi.Output[str]]:
        gateway = ec2.InternetGateway(
            f"{self._name}-internet",
            vpc_id=vpc.id,
            tags=self._tags("internet"),
            opts=self._options,
        )
        outward = self._table("public", vpc, public.values())
        ec2.Route(
            f"{self._name}-public-out",
            route_table_id=outward.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._options,
        )
        # Databases have no way out: their table has the VPC's own route only.
        self._table("data", vpc, self.data.values())
        tables = []
        nat: ec2.NatGateway | None = None
        for number, zone in enumerate(self._args.zones, 1):
            if nat is None or self._args.nat == "per-zone":
                nat = self._nat(number, public[zone], gateway)
            table = self._table(f"private-{number}", vpc, [self.private[zone], self.pods[zone]])
            ec2.Route(
                f"{self._name}-private-{number}-out",
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=nat.id,
                opts=self._options,
            )
            tables.append(table.id)
        return tables

    def _nat(self, number: int, subnet: ec2.Subnet, gateway: ec2.InternetGateway) -> ec2.NatGateway:
        address = ec2.Eip(
            f"{self._name}-nat-{number}-address",
            domain="vpc",
            tags=self._tags(f"nat-{number}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        return ec2.NatGateway(
            f"{self._name}-nat-{number}",
            allocation_id=address.id,
            subnet_id=subnet.id,
            tags=self._tags(f"nat-{number}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )

    def _table(self, kind: str, vpc: ec2.Vpc, members: Iterable[ec2.Subnet]) -> ec2.RouteTable:
        table = ec2.RouteTable(
            f"{self._name}-{kind}", vpc_id=vpc.id, tags=self._tags(kind), opts=self._options
        )
        for number, subnet in enumerate(members, 1):
            ec2.RouteTableAssociation(
                f"{self._name}-{kind}-in-{number}",
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=self._options,
            )
        return table

    def _tags(self, what: str) -> dict[str, str]:
        return {"Name": f"{self._args.place.prefix}-{what}"}
