"""The way in: a network load balancer that hands TLS through to the gateway on the system nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import autoscaling, ec2, lb, vpc

from infra.foundation.place import Place

PORT = 443


@dataclass(frozen=True, kw_only=True)
class EntranceArgs:
    """Where it listens, and the nodes and port that it hands connections to."""

    place: Place
    vpc: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    clients: Sequence[str]
    """Ranges from which connections are taken."""
    node_port: int
    nodes: pulumi.Input[str]
    """Name of the scaling group of the nodes."""
    node_group: pulumi.Input[str]
    """Security group of the nodes."""


class Entrance(pulumi.ComponentResource):
    """An internal load balancer: nothing is on the internet, and TLS ends in the gateway."""

    host: pulumi.Output[str]

    def __init__(
        self, name: str, args: EntranceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Entrance", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            f"{name}-group",
            description="HTTPS to the gateway",
            vpc_id=args.vpc,
            tags={"Name": f"{args.place.prefix}-entrance"},
            opts=options,
        )
        self._rules(name, args, group)
        balancer = lb.LoadBalancer(
            f"{name}-balancer",
            name=args.place.prefix,
            load_balancer_type="network",
            internal=True,
            subnets=list(args.subnets),
            security_groups=[group.id],
            enable_cross_zone_load_balancing=True,
            enable_deletion_protection=args.place.protected,
            opts=options,
        )
        target = lb.TargetGroup(
            f"{name}-target",
            name=args.place.prefix,
            vpc_id=args.vpc,
            port=args.node_port,
            protocol="TCP",
            target_type="instance",
            preserve_client_ip="false",
            deregistration_delay=30,
            health_check=lb.TargetGroupHealthCheckArgs(protocol="TCP", interval=10),
            opts=options,
        )
        lb.Listener(
            f"{name}-listener",
            load_balancer_arn=balancer.arn,
            port=PORT,
            protocol="TCP",
            default_actions=[
                lb.ListenerDefaultActionArgs(type="forward", target_group_arn=target.arn)
            ],
            opts=options,
        )
        autoscaling.Attachment(
            f"{name}-nodes",
            autoscaling_group_name=args.nodes,
            lb_target_group_arn=target.arn,
            opts=options,
        )
        self.host = balancer.dns_name
        self.register_outputs({"host": self.host})

    def _rules(self, name: str, args: EntranceArgs, group: ec2.SecurityGroup) -> None:
        options = pulumi.ResourceOptions(parent=self)
        for number, clients in enumerate(args.clients, 1):
            vpc.SecurityGroupIngressRule(
                f"{name}-in-{number}",
                security_group_id=group.id,
                cidr_ipv4=clients,
                ip_protocol="tcp",
                from_port=PORT,
                to_port=PORT,
                opts=options,
            )
        vpc.SecurityGroupEgressRule(
            f"{name}-out",
            security_group_id=group.id,
            referenced_security_group_id=args.node_group,
            ip_protocol="tcp",
            from_port=args.node_port,
            to_port=args.node_port,
            opts=options,
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-to-nodes",
            security_group_id=args.node_group,
            referenced_security_group_id=group.id,
            ip_protocol="tcp",
            from_port=args.node_port,
            to_port=args.node_port,
            opts=options,
        )
