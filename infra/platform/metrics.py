"""Resource metrics for autoscaling: metrics-server, whose certificate the API server checks."""

import base64
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiregistration.v1 import (
    APIService,
    APIServiceSpecArgs,
    ServiceReferenceArgs,
)
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    Secret,
    SecretVolumeSourceArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import ClusterRole, RoleBinding, RoleRefArgs, SubjectArgs

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces

PORT = 10250
_GROUP = "metrics.k8s.io"
_FOLDER = "/etc/metrics-server"


@dataclass(frozen=True, kw_only=True)
class MetricsArgs:
    """Where metrics-server runs."""

    contract: Contract
    namespace: pulumi.Input[str]


class Metrics(pulumi.ComponentResource):
    """metrics-server: CPU and memory of pods and nodes now. It keeps no history."""

    def __init__(
        self, name: str, args: MetricsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Metrics", name, None, opts)
        if "metrics" not in args.contract.existing:
            self._install(name, args)
        self.register_outputs({})

    def _install(self, name: str, args: MetricsArgs) -> None:
        contract, component = args.contract, spaces.METRICS_SERVER
        options = pulumi.ResourceOptions(parent=self)
        account = access.account(name, contract, component, args.namespace, self)
        bindings = self._rights(name, args, account)
        secret = Secret(
            f"{name}-certificate",
            metadata=pods.meta(contract, component, args.namespace, "metrics-server-certificate"),
            type="kubernetes.io/tls",
            data={
                key: pulumi.Output.secret(known.credential(contract, file)).apply(_encoded)
                for key, file in {
                    "tls.crt": "metrics-server.crt",
                    "tls.key": "metrics-server.key",
                }.items()
            },
            opts=options,
        )
        self._network(name, args)
        deployment = pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=True,
                containers=[_container(contract)],
                volumes=[
                    VolumeArgs(
                        name="certificate",
                        secret=SecretVolumeSourceArgs(
                            secret_name=secret.metadata.name, default_mode=0o440
                        ),
                    )
                ],
            ),
            self,
            needs=bindings,
        )
        service = Service(
            f"{name}-service",
            metadata=pods.meta(contract, component, args.namespace),
            spec=ServiceSpecArgs(
                selector={pods.NAME: component},
                ports=[ServicePortArgs(name="https", port=443, target_port=spaces.METRICS_PORT)],
            ),
            opts=options,
        )
        APIService(
            f"{name}-api",
            metadata=ObjectMetaArgs(
                name=f"v1beta1.{_GROUP}", labels=pods.labels(contract, component)
            ),
            spec=APIServiceSpecArgs(
                group=_GROUP,
                version="v1beta1",
                group_priority_minimum=100,
                version_priority=100,
                ca_bundle=pulumi.Output.from_input(known.credential(contract, "ca.crt")).apply(
                    _encoded
                ),
                service=ServiceReferenceArgs(
                    name=service.metadata.name, namespace=service.metadata.namespace, port=443
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )

    def _rights(
        self, name: str, args: MetricsArgs, account: ServiceAccount
    ) -> list[pulumi.Resource]:
        contract, component = args.contract, spaces.METRICS_SERVER
        built_in = "extension-apiserver-authentication-reader"
        reader = RoleBinding(
            f"{name}-authentication-binding",
            metadata=pods.meta(contract, component, "kube-system", f"modelyard:{component}"),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=built_in),
            subjects=[
                SubjectArgs(
                    kind="ServiceAccount",
                    name=account.metadata.name,
                    namespace=account.metadata.namespace,
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        ClusterRole(
            f"{name}-reader",
            metadata=ObjectMetaArgs(
                name="modelyard:metrics-reader",
                labels=pods.labels(contract, component)
                | {
                    f"rbac.authorization.k8s.io/aggregate-to-{role}": "true"
                    for role in ("view", "edit", "admin")
                },
            ),
            rules=[access.rule(_GROUP, ["pods", "nodes"], access.READ)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [
            reader,
            access.as_built_in(
                f"{name}-delegator", contract, component, account, "system:auth-delegator", self
            ),
            access.in_cluster(
                name,
                contract,
                component,
                account,
                [
                    access.rule("", ["nodes/metrics"], ["get"]),
                    access.rule("", ["pods", "nodes"], access.READ),
                ],
                self,
            ),
        ]

    def _network(self, name: str, args: MetricsArgs) -> None:
        policies.allow(
            name,
            args.contract,
            args.namespace,
            spaces.METRICS_SERVER,
            self,
            hears=[
                policies.Talk(
                    (
                        *policies.nodes(args.contract),
                        *policies.prometheus(args.contract),
                    ),
                    (PORT,),
                )
            ],
            speaks=[
                policies.api_server(args.contract),
                policies.name_service(),
                policies.Talk(policies.nodes(args.contract), (10250,)),
            ],
        )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _container(contract: Contract) -> ContainerArgs:
    cluster_ca = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    return ContainerArgs(
        name=spaces.METRICS_SERVER,
        image=known.image(contract, "modelyard/metrics-server"),
        image_pull_policy="IfNotPresent",
        args=[
            f"--secure-port={PORT}",
            f"--tls-cert-file={_FOLDER}/tls.crt",
            f"--tls-private-key-file={_FOLDER}/tls.key",
            "--tls-min-version=VersionTLS12",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--metric-resolution=15s",
            f"--kubelet-certificate-authority={cluster_ca}"
            if contract.kubelets_certified
            # Their certificates are self-signed, so there is nothing to check them against.
            else "--kubelet-insecure-tls",
        ],
        ports=[ContainerPortArgs(name=spaces.METRICS_PORT, container_port=PORT)],
        resources=pods.resources("50m", "64Mi", cpu_limit="1", memory_limit="256Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/livez", spaces.METRICS_PORT, scheme="HTTPS"),
        readiness_probe=pods.probe("/readyz", spaces.METRICS_PORT, scheme="HTTPS"),
        liveness_probe=pods.probe("/livez", spaces.METRICS_PORT, scheme="HTTPS", period=20),
        volume_mounts=[VolumeMountArgs(name="certificate", mount_path=_FOLDER, read_only=True)],
    )
