"""A cluster with everything that it needs to take pods: control plane, add-ons, nodes, disks."""

from dataclasses import dataclass

import pulumi

from infra.foundation import addons, placement, scaling, tables
from infra.foundation.addons import Addons, AddonsArgs
from infra.foundation.cluster import Cluster, ClusterArgs
from infra.foundation.disks import Disks, DisksArgs
from infra.foundation.keys import Keys
from infra.foundation.network import Network
from infra.foundation.node_pool import NodePool, NodePoolArgs
from infra.foundation.node_role import NodeRole, NodeRoleArgs
from infra.foundation.place import Place
from infra.foundation.pod_role import PodRole, PodRoleArgs
from infra.foundation.repositories import UPSTREAMS
from infra.foundation.settings import Aws


@dataclass(frozen=True, kw_only=True)
class EksArgs:
    """Where the cluster stands, and what the environment says of it."""

    place: Place
    aws: Aws
    services: str
    network: Network
    keys: Keys


class Eks(pulumi.ComponentResource):
    """In this order: control plane, what nodes need, nodes, what needs nodes."""

    cluster: Cluster
    system_nodes: pulumi.Output[str]
    """Name of the scaling group of the first pool."""

    def __init__(
        self, name: str, args: EksArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Eks", name, None, opts)
        self._name, self._args = name, args
        self._below = pulumi.ResourceOptions(parent=self)
        versions = tables.sets().sets[args.aws.versions]
        disks = Disks(f"{name}-disks", DisksArgs(key=args.keys.arns["disks"]), self._below)
        self.cluster = self._cluster(versions.kubernetes)
        cni = addons.cni_role(args.place, self.cluster.name)
        network = addons.networking(args.place, args.network.pods, self.cluster.security_group)
        before = Addons(
            f"{name}-node-addons",
            AddonsArgs(
                place=args.place,
                cluster=self.cluster.name,
                names=addons.BEFORE_NODES,
                versions=versions.addons,
                settings={"vpc-cni": network},
                roles={"vpc-cni": self._role("cni", cni)},
            ),
            self._below,
        )
        # The first pool runs the cluster's own parts and the platform.
        system, *_ = self._pools(versions, [*before.ready, *disks.ready])
        driver = addons.disk_role(args.place, self.cluster.name, args.keys.arns["disks"])
        Addons(
            f"{name}-pod-addons",
            AddonsArgs(
                place=args.place,
                cluster=self.cluster.name,
                names=addons.AFTER_NODES,
                versions=versions.addons,
                settings={"aws-ebs-csi-driver": {"defaultStorageClass": {"enabled": True}}},
                roles={"aws-ebs-csi-driver": self._role("disk-driver", driver)},
                after=[system.group],
            ),
            self._below,
        )
        self._role("autoscaler", scaling.role(args.place, self.cluster.name))
        self.system_nodes = system.scaling_group
        self.register_outputs({"cluster": self.cluster.name})

    def _cluster(self, version: str) -> Cluster:
        args = self._args
        return Cluster(
            f"{self._name}-cluster",
            ClusterArgs(
                place=args.place,
                version=version,
                services=args.services,
                subnets=[one.id for one in args.network.private.values()],
                api_access=args.aws.api_access,
                admins=args.aws.admins,
                secrets_key=args.keys.arns["cluster"],
                logs_key=args.keys.arns["logs"],
                log_days=args.aws.log_days,
            ),
            self._below,
        )

    def _pools(self, versions: tables.Set, after: list[pulumi.Resource]) -> list[NodePool]:
        args = self._args
        caches = [UPSTREAMS[one] for one in args.aws.registries.caches]
        role = NodeRole(
            f"{self._name}-nodes", NodeRoleArgs(place=args.place, caches=caches), self._below
        )
        return [
            NodePool(
                f"{self._name}-pools-{pool.name}",
                NodePoolArgs(
                    place=args.place,
                    pool=pool,
                    zones=placement.zones(args.aws, pool),
                    versions=versions,
                    cluster=self.cluster.name,
                    vpc=args.network.vpc,
                    security_group=self.cluster.security_group,
                    role=role.arn,
                    subnets={zone: one.id for zone, one in args.network.private.items()},
                    disk_key=args.keys.arns["disks"],
                    after=[*after, *role.ready],
                ),
                self._below,
            )
            for pool in args.aws.pools
        ]

    def _role(self, what: str, args: PodRoleArgs) -> tuple[str, pulumi.Output[str]]:
        role = PodRole(f"{self._name}-{what}", args, self._below)
        return args.service_account, role.arn
