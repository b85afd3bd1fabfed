"""Progressive delivery: Argo Rollouts, for the namespace of models and no other."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgs, ContainerPortArgs, ServiceAccount

from infra.contract import Contract
from infra.platform import access, crds, known, pods, policies, spaces

METRICS_PORT = 8090
HEALTH_PORT = 8080
_WRITE = ("create", "update", "patch", "delete")


@dataclass(frozen=True, kw_only=True)
class DeliveryArgs:
    """Where the controller runs, and the namespace whose Rollouts it looks after."""

    contract: Contract
    namespace: pulumi.Input[str]
    models: pulumi.Input[str]


class Delivery(pulumi.ComponentResource):
    """The Argo Rollouts controller with its own Traefik router. It judges nothing by itself."""

    def __init__(
        self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Delivery", name, None, opts)
        contract, component = args.contract, spaces.ROLLOUTS
        made = crds.define(name, contract, "rollouts", self)
        account = access.account(name, contract, component, args.namespace, self)
        bindings = self._rights(name, args, account)
        policies.allow(
            name,
            contract,
            args.namespace,
            component,
            self,
            hears=[policies.Talk(policies.prometheus(contract), (METRICS_PORT,))],
            speaks=[
                policies.api_server(contract),
                policies.name_service(),
                policies.Talk(
                    policies.prometheus(contract),
                    (spaces.PROMETHEUS_PORT,),
                ),
            ],
        )
        pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=True,
                containers=[_container(contract)],
                volumes=[pods.scratch("tmp", "/tmp")[0]],  # noqa: S108 - in a container
            ),
            self,
            needs=[*made, *bindings],
        )
        self.register_outputs({})

    def _rights(
        self, name: str, args: DeliveryArgs, account: ServiceAccount
    ) -> list[pulumi.Resource]:
        own = [
            access.rule("coordination.k8s.io", ["leases"], ["create", "get", "update"]),
            access.rule("", ["configmaps"], access.READ),
            # The only Secret that it reads: where notifications would go, if somebody made it.
            access.rule("", ["secrets"], access.READ, ["argo-rollouts-notification-secret"]),
        ]
        places = {"own": (args.namespace, own), "models": (args.models, _models())}
        return [
            access.in_namespace(
                f"{name}-{word}", args.contract, spaces.ROLLOUTS, place, account, rules, self
            )
            for word, (place, rules) in places.items()
        ]


def _models() -> list[access.Rule]:
    """Upstream's cluster role without other routers, workload references and Secrets."""
    argo, update = "argoproj.io", ("update", "patch")
    runs = ["analysisruns", "analysisruns/finalizers", "experiments", "experiments/finalizers"]
    return [
        access.rule(
            argo,
            ["rollouts", "rollouts/status", "rollouts/finalizers"],
            [*access.READ, *update],
        ),
        access.rule(argo, runs, [*access.READ, *_WRITE]),
        access.rule(argo, ["analysistemplates"], access.READ),
        access.rule("apps", ["replicasets"], [*access.READ, *_WRITE]),
        # Jobs give verdicts in analysis runs.
        access.rule("batch", ["jobs"], [*access.READ, *_WRITE]),
        access.rule("", ["services"], [*access.READ, "patch"]),
        access.rule("", ["pods"], ["list", "watch", "update"]),
        access.rule("", ["pods/eviction"], ["create"]),
        access.rule("", ["events"], ["create", "update", "patch"]),
        # Its cache of Ingresses must fill before it starts, although it changes none here.
        access.rule("networking.k8s.io", ["ingresses"], access.READ),
        access.rule("traefik.io", ["traefikservices"], ["get", "watch", "update"]),
    ]


def _container(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.ROLLOUTS,
        image=known.image(contract, "modelyard/argo-rollouts"),
        image_pull_policy="IfNotPresent",
        args=[
            "--namespaced",
            f"--namespace={spaces.MODELS}",
            # Its defaults name Traefik's old API group, and it then sets no weights, silently.
            "--traefik-api-group=traefik.io",
            "--traefik-api-version=traefik.io/v1alpha1",
            "--loglevel=info",
            "--logformat=json",
        ],
        working_dir="/tmp",  # noqa: S108 - in a container; plugins would be put beside it
        ports=[
            ContainerPortArgs(name=spaces.METRICS_PORT, container_port=METRICS_PORT),
            ContainerPortArgs(name="healthz", container_port=HEALTH_PORT),
        ],
        resources=pods.resources("50m", "96Mi", cpu_limit="1", memory_limit="384Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/healthz", "healthz"),
        readiness_probe=pods.probe("/metrics", spaces.METRICS_PORT, period=30),
        liveness_probe=pods.probe("/healthz", "healthz", period=20),
        volume_mounts=[pods.scratch("tmp", "/tmp")[1]],  # noqa: S108 - in a container
    )
