"""The doorkeeper: says who may pass the gateway, and words its errors."""

import base64
import hashlib
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    Secret,
    SecretVolumeSourceArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces
from infra.platform.gateway_names import DOORKEEPER_PORT

REPLICAS = 2
_FOLDER = "/etc/doorkeeper"


@dataclass(frozen=True, kw_only=True)
class DoorkeeperArgs:
    """Where the doorkeeper runs."""

    contract: Contract
    namespace: pulumi.Input[str]


class Doorkeeper(pulumi.ComponentResource):
    """services/platform/doorkeeper. The cluster holds only the token's hash."""

    service: pulumi.Output[str]
    """Name of its Service."""

    def __init__(
        self, name: str, args: DoorkeeperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Doorkeeper", name, None, opts)
        contract, component = args.contract, spaces.DOORKEEPER
        options = pulumi.ResourceOptions(parent=self)
        account = access.account(name, contract, component, args.namespace, self)
        token = pulumi.Output.secret(known.credential(contract, "token"))
        secret = Secret(
            f"{name}-tokens",
            metadata=pods.meta(contract, component, args.namespace, "doorkeeper-tokens"),
            data={"tokens": token.apply(_hashed)},
            opts=options,
        )
        policies.allow(
            name,
            contract,
            args.namespace,
            component,
            self,
            hears=[
                policies.Talk(
                    (
                        *policies.gateway(contract),
                        *policies.prometheus(contract),
                    ),
                    (DOORKEEPER_PORT,),
                )
            ],
        )
        pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=False,
                replicas=REPLICAS,
                containers=[_container(contract)],
                volumes=[
                    # The whole folder: a file mounted alone never sees a changed token.
                    VolumeArgs(
                        name="tokens",
                        secret=SecretVolumeSourceArgs(
                            secret_name=secret.metadata.name, default_mode=0o440
                        ),
                    )
                ],
            ),
            self,
        )
        service = Service(
            f"{name}-service",
            metadata=pods.meta(contract, component, args.namespace),
            spec=ServiceSpecArgs(
                selector={pods.NAME: component},
                ports=[
                    ServicePortArgs(
                        name="http", port=DOORKEEPER_PORT, target_port=spaces.METRICS_PORT
                    )
                ],
            ),
            opts=options,
        )
        self.service = service.metadata.name
        self.register_outputs({"service": self.service})


def _hashed(token: str) -> str:
    line = hashlib.sha256(token.encode()).hexdigest() + "\n"
    return base64.b64encode(line.encode()).decode()


def _container(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.DOORKEEPER,
        image=known.image(contract, "modelyard/doorkeeper"),
        image_pull_policy="IfNotPresent",
        # One port: what it serves and its metrics.
        ports=[ContainerPortArgs(name=spaces.METRICS_PORT, container_port=DOORKEEPER_PORT)],
        resources=pods.resources("50m", "64Mi", cpu_limit="1", memory_limit="192Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/healthz", spaces.METRICS_PORT),
        readiness_probe=pods.probe("/healthz", spaces.METRICS_PORT),
        liveness_probe=pods.probe("/healthz", spaces.METRICS_PORT, period=20),
        lifecycle=pods.drained(),
        volume_mounts=[VolumeMountArgs(name="tokens", mount_path=_FOLDER, read_only=True)],
    )
