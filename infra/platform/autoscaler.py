"""The cluster autoscaler: more nodes when pods wait for one, fewer when nodes stand empty."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgs, ContainerPortArgs, EnvVarArgs, ServiceAccount

from infra.contract import Autoscaling, Contract
from infra.platform import access, known, pods, policies, spaces


@dataclass(frozen=True, kw_only=True)
class AutoscalerArgs:
    """The contract says whether pools grow and shrink. ``namespaces`` are names as outputs."""

    contract: Contract
    namespaces: Mapping[str, pulumi.Input[str]]


class Autoscaler(pulumi.ComponentResource):
    """One autoscaler, where pools can be sized. Its rights in the account are the foundation's."""

    def __init__(
        self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Autoscaler", name, None, opts)
        if args.contract.autoscaling:
            self._install(name, args, args.contract.autoscaling)
        self.register_outputs({})

    def _install(self, name: str, args: AutoscalerArgs, pools: Autoscaling) -> None:
        contract, component = args.contract, spaces.AUTOSCALER
        namespace = args.namespaces[spaces.AUTOSCALING]
        account = access.account(name, contract, component, namespace, self)
        prometheus = policies.prometheus(contract)
        policies.allow(
            name,
            contract,
            namespace,
            component,
            self,
            hears=[policies.Talk(prometheus, (spaces.AUTOSCALER_PORT,))],
            speaks=[
                policies.api_server(contract),
                policies.name_service(),
                policies.Talk((), (443,)),  # AWS, whose addresses no policy can name
                policies.Talk((), (80,)),  # the agent that gives pods their role
            ],
        )
        pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=namespace,
                account=account,
                calls_api=True,
                containers=[_container(contract, pools)],
            ),
            self,
            needs=self._rights(name, args, account),
        )

    def _rights(
        self, name: str, args: AutoscalerArgs, account: ServiceAccount
    ) -> list[pulumi.Resource]:
        contract, component = args.contract, spaces.AUTOSCALER
        look = {
            "": [
                "namespaces",
                "persistentvolumeclaims",
                "persistentvolumes",
                "pods",
                "replicationcontrollers",
                "services",
            ],
            "apps": ["daemonsets", "replicasets", "statefulsets"],
            "batch": ["cronjobs", "jobs"],
            "policy": ["poddisruptionbudgets"],
            "resource.k8s.io": ["deviceclasses", "resourceclaims", "resourceslices"],
            "storage.k8s.io": [
                "csidrivers",
                "csinodes",
                "csistoragecapacities",
                "storageclasses",
                "volumeattachments",
            ],
        }
        own = ["cluster-autoscaler-status"]
        return [
            access.in_cluster(
                name,
                contract,
                component,
                account,
                [
                    *(access.rule(group, kinds, access.READ) for group, kinds in look.items()),
                    # It taints a node before it takes it away.
                    access.rule("", ["nodes"], [*access.READ, "update"]),
                    access.rule("", ["pods/eviction"], ["create"]),
                    access.rule("", ["events"], ["create", "patch"]),
                ],
                self,
            ),
            access.in_namespace(
                name,
                contract,
                component,
                args.namespaces[spaces.AUTOSCALING],
                account,
                [
                    access.rule("", ["configmaps"], ["create", "list", "watch"]),
                    access.rule("", ["configmaps"], ["get", "update", "delete"], own),
                    access.rule("coordination.k8s.io", ["leases"], ["create"]),
                    access.rule("coordination.k8s.io", ["leases"], ["get", "update"], [component]),
                ],
                self,
            ),
        ]


def _container(contract: Contract, pools: Autoscaling) -> ContainerArgs:
    found_by = f"k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/{pools.cluster}"
    return ContainerArgs(
        name=spaces.AUTOSCALER,
        image=known.image(contract, f"modelyard/{spaces.AUTOSCALER}"),
        image_pull_policy="IfNotPresent",
        command=["/cluster-autoscaler"],
        args=[
            "--cloud-provider=aws",
            f"--node-group-auto-discovery=asg:tag={found_by}",
            f"--namespace={spaces.AUTOSCALING}",
            f"--address=:{spaces.AUTOSCALER_PORT}",
            # Of the pools that would do, the one that would stand least idle.
            "--expander=least-waste",
            "--balance-similar-node-groups=true",
            # GPUs cost by the second: ten idle minutes, as for other nodes, and then away.
            "--scale-down-unneeded-time=10m",
            "--skip-nodes-with-local-storage=false",
        ],
        env=[EnvVarArgs(name="AWS_REGION", value=pools.region)],
        ports=[ContainerPortArgs(name=spaces.METRICS_PORT, container_port=spaces.AUTOSCALER_PORT)],
        resources=pods.resources("100m", "300Mi", cpu_limit="1", memory_limit="600Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/health-check", spaces.METRICS_PORT),
        readiness_probe=pods.probe("/health-check", spaces.METRICS_PORT),
        liveness_probe=pods.probe("/health-check", spaces.METRICS_PORT, period=20),
    )
