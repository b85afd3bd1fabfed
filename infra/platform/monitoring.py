"""Prometheus: what happened, for as long as the environment keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from infra.contract import Contract
from infra.platform import access, known, pods, policies, rules, scrapes, spaces, storage
from infra.platform.delivery import METRICS_PORT as ROLLOUTS_PORT
from infra.platform.gateway import METRICS_PORT as TRAEFIK_PORT
from infra.platform.gateway_names import DOORKEEPER_PORT
from infra.platform.metrics import PORT as METRICS_SERVER_PORT
from infra.platform.registry_settings import DEBUG_PORT as REGISTRY_PORT

PORT = spaces.PROMETHEUS_PORT
GIB = 10
_DATA = "/var/lib/prometheus"


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Where Prometheus runs, for how long it keeps samples, and the namespaces that it looks into.

    ``namespaces`` are names as outputs: a role can only be made where its namespace is.
    """

    contract: Contract
    namespace: pulumi.Input[str]
    namespaces: Mapping[str, pulumi.Input[str]]
    storage_class: pulumi.Input[str]
    retention_days: int


class Monitoring(pulumi.ComponentResource):
    """Prometheus with its configuration and rules. It shows alerts and sends them nowhere yet."""

    def __init__(
        self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Monitoring", name, None, opts)
        if "monitoring" not in args.contract.existing:
            self._install(name, args)
        self.register_outputs({})

    def _install(self, name: str, args: MonitoringArgs) -> None:
        contract, component = args.contract, spaces.PROMETHEUS
        options = pulumi.ResourceOptions(parent=self)
        account = access.account(name, contract, component, args.namespace, self)
        bindings = self._rights(name, args, account)
        files = {
            "prometheus.yml": scrapes.configuration(contract),
            "rules.yml": rules.rules(contract),
        }
        settings = ConfigMap(
            f"{name}-settings",
            metadata=pods.meta(contract, component, args.namespace),
            data={**files, "ca.crt": known.credential(contract, "ca.crt")},
            opts=options,
        )
        metadata = pods.meta(contract, component, args.namespace)
        claim = storage.claim(name, metadata, args.storage_class, GIB, self)
        self._network(name, args)
        pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=True,
                recreate=True,  # one writer on the volume
                containers=[_container(contract, args.retention_days)],
                volumes=[
                    VolumeArgs(
                        name="settings",
                        config_map=ConfigMapVolumeSourceArgs(name=settings.metadata.name),
                    ),
                    VolumeArgs(
                        name="data",
                        persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(
                            claim_name=claim.metadata.name
                        ),
                    ),
                ],
                # It reads its configuration when it starts.
                annotations={
                    "modelyard.dev/configuration": pods.digest(files),
                    "modelyard.dev/credentials": known.checksum(contract, "ca.crt"),
                },
                grace_seconds=60,  # it writes what it has in memory
            ),
            self,
            needs=bindings,
        )
        Service(
            f"{name}-service",
            metadata=pods.meta(contract, component, args.namespace),
            spec=ServiceSpecArgs(
                selector={pods.NAME: component},
                ports=[ServicePortArgs(name="http", port=PORT, target_port=spaces.METRICS_PORT)],
            ),
            opts=options,
        )

    def _rights(
        self, name: str, args: MonitoringArgs, account: ServiceAccount
    ) -> list[pulumi.Resource]:
        contract, component = args.contract, spaces.PROMETHEUS
        look = [access.rule("", ["pods"], access.READ)]
        # What stands behind the Service `kubernetes`: the API servers.
        servers = [
            access.rule("", ["pods", "services"], access.READ),
            access.rule("discovery.k8s.io", ["endpointslices"], access.READ),
        ]
        places = {
            space: (args.namespaces.get(space, space), look) for space in scrapes.pods_in(contract)
        }
        places["default"] = ("default", servers)
        bindings: list[pulumi.Resource] = [
            access.in_namespace(f"{name}-{word}", contract, component, place, account, given, self)
            for word, (place, given) in places.items()
        ]
        bindings.append(
            access.in_cluster(
                name,
                contract,
                component,
                account,
                [
                    access.rule("", ["nodes"], access.READ),
                    access.rule("", ["nodes/metrics"], ["get"]),
                    PolicyRuleArgs(non_resource_urls=["/metrics"], verbs=["get"]),
                ],
                self,
            )
        )
        return bindings

    def _network(self, name: str, args: MonitoringArgs) -> None:
        metrics = {
            (spaces.GATEWAY, spaces.TRAEFIK): TRAEFIK_PORT,
            (spaces.GATEWAY, spaces.DOORKEEPER): DOORKEEPER_PORT,
            (spaces.REGISTRY, spaces.DISTRIBUTION): REGISTRY_PORT,
            (spaces.DELIVERY, spaces.ROLLOUTS): ROLLOUTS_PORT,
            (spaces.MONITORING, spaces.METRICS_SERVER): METRICS_SERVER_PORT,
            (spaces.ACCELERATORS, spaces.DCGM): spaces.DCGM_PORT,
            (spaces.AUTOSCALING, spaces.AUTOSCALER): spaces.AUTOSCALER_PORT,
        }
        served = {*scrapes.plain(args.contract).values()}
        if "metrics" not in args.contract.existing:
            served.add((spaces.MONITORING, spaces.METRICS_SERVER))
        policies.allow(
            name,
            args.contract,
            args.namespace,
            spaces.PROMETHEUS,
            self,
            hears=[policies.Talk(policies.component(spaces.DELIVERY, spaces.ROLLOUTS), (PORT,))],
            speaks=[
                *(
                    policies.Talk(policies.component(*who), (port,))
                    for who, port in metrics.items()
                    if who in served
                ),
                policies.Talk(policies.everything_in(spaces.MODELS), (spaces.MODEL_PORT_NUMBER,)),
                policies.Talk(policies.everything_in("kube-system"), (9153,)),
                policies.Talk(policies.nodes(args.contract), _ports_of_nodes(args.contract)),
                policies.api_server(args.contract),
                policies.name_service(),
            ],
        )


def _ports_of_nodes(contract: Contract) -> tuple[int, ...]:
    return (10250, spaces.NODE_EXPORTER_PORT) if contract.node_exporter else (10250,)


def _container(contract: Contract, retention_days: int) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.PROMETHEUS,
        image=known.image(contract, "modelyard/prometheus"),
        image_pull_policy="IfNotPresent",
        args=[
            f"--config.file={scrapes.CONFIG}/prometheus.yml",
            f"--storage.tsdb.path={_DATA}",
            f"--storage.tsdb.retention.time={retention_days}d",
            # Room for the head block and for compaction.
            f"--storage.tsdb.retention.size={GIB * 8 // 10}GB",
            f"--web.listen-address=:{PORT}",
            "--log.format=json",
        ],
        ports=[ContainerPortArgs(name=spaces.METRICS_PORT, container_port=PORT)],
        resources=pods.resources("100m", "384Mi", cpu_limit="2", memory_limit="1536Mi"),
        security_context=pods.locked(),
        # Replaying a long write-ahead log takes minutes.
        startup_probe=pods.starting("/-/ready", spaces.METRICS_PORT, seconds=600),
        readiness_probe=pods.probe("/-/ready", spaces.METRICS_PORT),
        liveness_probe=pods.probe("/-/healthy", spaces.METRICS_PORT, period=20),
        volume_mounts=[
            VolumeMountArgs(name="settings", mount_path=scrapes.CONFIG, read_only=True),
            VolumeMountArgs(name="data", mount_path=_DATA),
        ],
    )
