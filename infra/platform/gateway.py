"""The one way in: Traefik with TLS, and routes from custom resources of two namespaces.

Where the team has its own, nothing of it is installed: infra/team_gateway.py has what that must be.
"""

import base64
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions.v1 import CustomResourceDefinition
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    Secret,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
)

from infra.contract import Contract
from infra.platform import access, crds, known, pods, policies, spaces
from infra.platform.gateway_names import (
    DOORKEEPER_PORT,
    ENTRY_POINT,
    INNER_ENTRY_POINT,
    INNER_PORT,
)

PORT = 8443
METRICS_PORT = 9100
REPLICAS = 2
# Traefik reads routes and their parts in these namespaces, and nowhere else.
WATCHED = (spaces.GATEWAY, spaces.MODELS)
_KINDS = (
    "ingressroutes",
    "ingressroutetcps",
    "ingressrouteudps",
    "middlewares",
    "middlewaretcps",
    "serverstransports",
    "serverstransporttcps",
    "tlsoptions",
    "tlsstores",
    "traefikservices",
)


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    """Where the gateway runs, and the namespace of the routes that it reads beside its own."""

    contract: Contract
    namespace: pulumi.Input[str]
    models: pulumi.Input[str]


class Gateway(pulumi.ComponentResource):
    """Traefik. Routes and their middlewares are other components' work."""

    definitions: list[CustomResourceDefinition]
    """What uses their kinds waits for them."""
    certificate: pulumi.Output[str] | None
    """Name of the Secret with the certificate of the platform's own."""

    def __init__(
        self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Gateway", name, None, opts)
        self.definitions, self.certificate = [], None
        if "gateway" not in args.contract.existing:
            self._install(name, args)
        self.register_outputs({"certificate": self.certificate})

    def _install(self, name: str, args: GatewayArgs) -> None:
        contract, component = args.contract, spaces.TRAEFIK
        options = pulumi.ResourceOptions(parent=self)
        self.definitions = crds.define(name, contract, "traefik", self)
        account = access.account(name, contract, component, args.namespace, self)
        bindings = self._rights(name, args, account)
        secret = Secret(
            f"{name}-certificate",
            metadata=pods.meta(contract, component, args.namespace, "gateway-certificate"),
            type="kubernetes.io/tls",
            data={
                "tls.crt": _hidden(contract, "gateway.crt"),
                "tls.key": _hidden(contract, "gateway.key"),
            },
            opts=options,
        )
        self.certificate = secret.metadata.name
        self._network(name, args)
        pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=True,
                replicas=REPLICAS,
                containers=[_container(contract)],
                volumes=[pods.scratch("tmp", "/tmp")[0]],  # noqa: S108 - in a container
                grace_seconds=60,
            ),
            self,
            needs=[*self.definitions, *bindings],
        )
        Service(
            f"{name}-service",
            metadata=pods.meta(contract, component, args.namespace),
            spec=ServiceSpecArgs(
                type="NodePort",
                selector={pods.NAME: component},
                ports=[
                    ServicePortArgs(
                        name=ENTRY_POINT,
                        port=443,
                        target_port=ENTRY_POINT,
                        node_port=contract.gateway.node_port,
                    )
                ],
            ),
            opts=options,
        )

    def _rights(
        self, name: str, args: GatewayArgs, account: ServiceAccount
    ) -> list[pulumi.Resource]:
        rules = [
            # Its caches hold all of a namespace's Secrets, whether a route names them or not, so
            # the models' namespace must never hold one that the gateway may not see.
            access.rule("", ["services", "secrets", "configmaps"], access.READ),
            access.rule("discovery.k8s.io", ["endpointslices"], access.READ),
            access.rule("traefik.io", _KINDS, access.READ),
        ]
        places = {"own": args.namespace, "models": args.models}
        return [
            access.in_namespace(
                f"{name}-{word}", args.contract, spaces.TRAEFIK, place, account, rules, self
            )
            for word, place in places.items()
        ]

    def _network(self, name: str, args: GatewayArgs) -> None:
        policies.allow(
            name,
            args.contract,
            args.namespace,
            spaces.TRAEFIK,
            self,
            hears=[
                policies.Talk((), (PORT,)),
                policies.Talk(policies.prometheus(args.contract), (METRICS_PORT,)),
            ],
            speaks=[
                policies.Talk(
                    policies.component(spaces.GATEWAY, spaces.DOORKEEPER), (DOORKEEPER_PORT,)
                ),
                policies.Talk(policies.everything_in(spaces.MODELS), (spaces.MODEL_PORT_NUMBER,)),
                policies.api_server(args.contract),
                policies.name_service(),
            ],
        )


def _hidden(contract: Contract, file: str) -> pulumi.Output[str]:
    content = pulumi.Output.secret(known.credential(contract, file))
    return content.apply(lambda text: base64.b64encode(text.encode()).decode())


def _container(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.TRAEFIK,
        image=known.image(contract, "modelyard/traefik"),
        image_pull_policy="IfNotPresent",
        args=_arguments(),
        ports=[
            ContainerPortArgs(name=ENTRY_POINT, container_port=PORT),
            ContainerPortArgs(name=spaces.METRICS_PORT, container_port=METRICS_PORT),
        ],
        resources=pods.resources("100m", "96Mi", cpu_limit="2", memory_limit="512Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/ping", spaces.METRICS_PORT),
        readiness_probe=pods.probe("/ping", spaces.METRICS_PORT),
        liveness_probe=pods.probe("/ping", spaces.METRICS_PORT, period=20),
        # Answers over 1 MiB are buffered in files.
        volume_mounts=[pods.scratch("tmp", "/tmp")[1]],  # noqa: S108 - in a container
    )


def _arguments() -> list[str]:
    provider = "--providers.kubernetescrd"
    entry = f"--entrypoints.{ENTRY_POINT}"
    inner = f"--entrypoints.{INNER_ENTRY_POINT}"
    return [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        "--log.format=json",
        # Headers are dropped from the access log unless named: no token gets into it.
        "--accesslog=true",
        "--accesslog.format=json",
        "--accesslog.fields.headers.defaultmode=drop",
        f"{entry}.address=:{PORT}",
        f"{entry}.http.tls=true",
        # A gateway that ends closes idle connections, also under whoever is just about to ask. By
        # then an answer has told each that is in use to close (`Connection: close`), since it was
        # old enough for that, and its caller has gone to another gateway.
        f"{entry}.transport.keepalivemaxtime=5s",
        f"{entry}.transport.lifecycle.requestacceptgracetimeout=10s",
        f"{entry}.transport.lifecycle.gracetimeout=30s",
        f"{entry}.transport.respondingtimeouts.readtimeout=30s",
        # Only this pod itself can connect to it; each request is logged and counted where it came.
        f"{inner}.address=127.0.0.1:{INNER_PORT}",
        # It outlives the other: whoever is still let in is still asked about.
        f"{inner}.transport.lifecycle.requestacceptgracetimeout=15s",
        f"{inner}.observability.accesslogs=false",
        f"{inner}.observability.metrics=false",
        f"--entrypoints.metrics.address=:{METRICS_PORT}",
        "--ping.entrypoint=metrics",
        "--metrics.prometheus.entrypoint=metrics",
        "--metrics.prometheus.addrouterslabels=true",
        f"{provider}.namespaces={','.join(WATCHED)}",
        # Nodes and ingress classes are cluster-wide, and nothing here asks for them.
        f"{provider}.disableclusterscoperesources=true",
        f"{provider}.allowcrossnamespace=true",
        # A model with no ready pod answers 503 instead of losing its route.
        f"{provider}.allowemptyservices=true",
    ]
