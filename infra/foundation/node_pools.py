"""All pools of a cluster: one NodePool for each entry of the environment's list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.foundation import placement, tables
from infra.foundation.node_pool import NodePool, NodePoolArgs
from infra.foundation.place import Place
from infra.foundation.settings import Aws


@dataclass(frozen=True, kw_only=True)
class NodePoolsArgs:
    """The environment's pools, and what all of their nodes share."""

    place: Place
    aws: Aws
    cluster: pulumi.Input[str]
    vpc: pulumi.Input[str]
    security_group: pulumi.Input[str]
    role: pulumi.Input[str]
    subnets: Mapping[str, pulumi.Input[str]]
    disk_key: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class NodePools(pulumi.ComponentResource):
    """Pools by name. The first one runs the cluster's own parts and the platform."""

    system: NodePool

    def __init__(
        self, name: str, args: NodePoolsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:NodePools", name, None, opts)
        made = [
            NodePool(
                f"{name}-{pool.name}",
                NodePoolArgs(
                    place=args.place,
                    pool=pool,
                    zones=placement.zones(args.aws, pool),
                    versions=tables.sets().sets[args.aws.versions],
                    cluster=args.cluster,
                    vpc=args.vpc,
                    security_group=args.security_group,
                    role=args.role,
                    subnets=args.subnets,
                    disk_key=args.disk_key,
                    after=args.after,
                ),
                pulumi.ResourceOptions(parent=self),
            )
            for pool in args.aws.pools
        ]
        self.system = made[0]
        self.register_outputs({})
