"""EKS: the control plane, who may administer it, and what it logs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, eks, iam

from infra.foundation import grants, policy_text
from infra.foundation.place import Place

LOGS = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Versions, ranges and people. Without ``api_access`` there is no public endpoint."""

    place: Place
    version: str
    services: str
    subnets: Sequence[pulumi.Input[str]]
    api_access: Sequence[str]
    admins: Sequence[str]
    """ARNs of roles; the deploy role is always one."""
    secrets_key: pulumi.Input[str]
    logs_key: pulumi.Input[str]
    log_days: int


class Cluster(pulumi.ComponentResource):
    """A control plane with a private endpoint. Rights come from access entries alone."""

    name: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    authority: pulumi.Output[str]
    """Certificate of the cluster's authority, in base64."""
    security_group: pulumi.Output[str]
    """The group that EKS makes: control plane, nodes and pods talk inside it."""

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Cluster", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        called = args.place.prefix
        role = iam.Role(
            f"{name}-role",
            name=f"{called}-cluster",
            assume_role_policy=policy_text.of(grants.trust("eks.amazonaws.com")),
            opts=options,
        )
        attached = iam.RolePolicyAttachment(
            f"{name}-rights",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
            opts=options,
        )
        # EKS would make it by itself, without a key and for ever.
        group = cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/eks/{called}/cluster",
            kms_key_id=args.logs_key,
            retention_in_days=args.log_days,
            opts=options,
        )
        cluster = eks.Cluster(
            f"{name}-control-plane",
            name=called,
            version=args.version,
            role_arn=role.arn,
            deletion_protection=args.place.protected,
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=LOGS,
            upgrade_policy=eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            access_config=eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            encryption_config=eks.ClusterEncryptionConfigArgs(
                resources=["secrets"],
                provider=eks.ClusterEncryptionConfigProviderArgs(key_arn=args.secrets_key),
            ),
            kubernetes_network_config=eks.ClusterKubernetesNetworkConfigArgs(
                service_ipv4_cidr=args.services
            ),
            vpc_config=eks.ClusterVpcConfigArgs(
                subnet_ids=list(args.subnets),
                endpoint_private_access=True,
                endpoint_public_access=bool(args.api_access),
                public_access_cidrs=list(args.api_access) or None,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attached, group]),
        )
        for arn in dict.fromkeys([args.place.role("deploy"), *args.admins]):
            self._admin(f"{name}-admin-{arn.rsplit('/', 1)[-1]}", cluster.name, arn)
        self.name, self.endpoint = cluster.name, cluster.endpoint
        self.authority = cluster.certificate_authority.apply(lambda found: found.data)
        self.security_group = cluster.vpc_config.apply(
            lambda found: found.cluster_security_group_id
        )
        self.register_outputs({"name": self.name})

    def _admin(self, name: str, cluster: pulumi.Input[str], arn: str) -> None:
        entry = eks.AccessEntry(
            name,
            cluster_name=cluster,
            principal_arn=arn,
            type="STANDARD",
            opts=pulumi.ResourceOptions(parent=self),
        )
        eks.AccessPolicyAssociation(
            f"{name}-rights",
            cluster_name=cluster,
            principal_arn=entry.principal_arn,
            policy_arn=ADMIN,
            access_scope=eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=pulumi.ResourceOptions(parent=self),
        )
