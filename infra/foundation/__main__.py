"""The AWS account of one environment: what there is, and in which order."""

import pulumi

from infra.foundation import handover, place, site
from infra.foundation.artifacts import Artifacts, ArtifactsArgs
from infra.foundation.budget import Budget, BudgetArgs
from infra.foundation.databases import Databases, DatabasesArgs
from infra.foundation.eks import Eks, EksArgs
from infra.foundation.endpoints import Endpoints, EndpointsArgs
from infra.foundation.entrance import Entrance, EntranceArgs
from infra.foundation.flow_logs import FlowLogs, FlowLogsArgs
from infra.foundation.github_roles import GithubRoles, GithubRolesArgs
from infra.foundation.keys import Keys, KeysArgs
from infra.foundation.network import Network, NetworkArgs
from infra.foundation.repositories import Repositories, RepositoriesArgs
from infra.foundation.secret_store import SecretStore, SecretStoreArgs

environment, aws = site.load(pulumi.get_stack())
here = place.of(environment, aws)
on = pulumi.ResourceOptions(providers=[site.account(here)])
ranges = environment.network

keys = Keys("keys", KeysArgs(place=here), on)
network_args = NetworkArgs(
    place=here, hosts=ranges.hosts, pods=ranges.pods, zones=aws.zones, nat=aws.nat
)
network = Network("network", network_args, on)
private = [subnet.id for subnet in network.private.values()]
flows = FlowLogsArgs(place=here, vpc=network.vpc, key=keys.arns["logs"], days=aws.log_days)
FlowLogs("flow-logs", flows, on)
endpoints = EndpointsArgs(
    place=here,
    vpc=network.vpc,
    subnets=private,
    tables=network.tables,
    ranges=[ranges.hosts, ranges.pods],
)
Endpoints("endpoints", endpoints, on)

images = RepositoriesArgs(place=here, settings=aws.registries, key=keys.arns["data"])
Repositories("repositories", images, on)
eks_args = EksArgs(place=here, aws=aws, services=ranges.services, network=network, keys=keys)
eks = Eks("eks", eks_args, on)
nodes = eks.cluster.security_group
entrance_args = EntranceArgs(
    place=here,
    vpc=network.vpc,
    subnets=private,
    clients=[ranges.hosts, ranges.pods, *aws.clients],
    node_port=environment.node_ports.gateway,
    nodes=eks.system_nodes,
    node_group=nodes,
)
entrance = Entrance("entrance", entrance_args, on)

artifacts_args = ArtifactsArgs(place=here, settings=aws.artifacts, key=keys.arns["data"])
artifacts = Artifacts("artifacts", artifacts_args, on)
databases_args = DatabasesArgs(
    place=here,
    settings=aws.databases,
    vpc=network.vpc,
    subnets=[subnet.id for subnet in network.data.values()],
    clients=nodes,
    data_key=keys.arns["data"],
    logs_key=keys.arns["logs"],
    log_days=aws.log_days,
)
databases = Databases("databases", databases_args, on)
SecretStore("secret-store", SecretStoreArgs(place=here, key=keys.arns["data"]), on)
Budget("budget", BudgetArgs(place=here, settings=aws.budget), on)
roles = GithubRolesArgs(place=here, github=aws.github, cluster=eks.cluster.name)
GithubRoles("github-roles", roles, on)

pulumi.export(
    "facts", handover.facts(here, eks.cluster, entrance, artifacts.bucket, databases.by_use)
)
