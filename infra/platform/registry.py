"""The images of the environment's models: a registry with TLS, accounts and a volume."""

import base64
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSourceArgs,
    Secret,
    SecretVolumeSourceArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces, storage
from infra.platform import registry_settings as settings

_CREDENTIALS = ("registry.crt", "registry.key", "htpasswd")


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """Where the registry runs, and how much it may hold."""

    contract: Contract
    namespace: pulumi.Input[str]
    storage_class: pulumi.Input[str]
    gib: int


class Registry(pulumi.ComponentResource):
    """CNCF distribution behind a gate (docs/adr/0012). It collects no garbage by itself."""

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Registry", name, None, opts)
        if "registry" not in args.contract.existing:
            self._install(name, args)
        self.register_outputs({})

    def _install(self, name: str, args: RegistryArgs) -> None:
        contract, component = args.contract, spaces.DISTRIBUTION
        options = pulumi.ResourceOptions(parent=self)
        files = {"config.yml": settings.registry(), "routes.yml": settings.gate_routes()}
        configuration = ConfigMap(
            f"{name}-settings",
            metadata=pods.meta(contract, component, args.namespace),
            data=files,
            opts=options,
        )
        secret = Secret(
            f"{name}-secret",
            metadata=pods.meta(contract, component, args.namespace),
            data=_secret(contract),
            opts=options,
        )
        metadata = pods.meta(contract, component, args.namespace)
        claim = storage.claim(name, metadata, args.storage_class, args.gib, self)
        prometheus = policies.prometheus(contract)
        policies.allow(
            name,
            contract,
            args.namespace,
            component,
            self,
            hears=[
                policies.Talk((), (settings.GATE_PORT,)),
                policies.Talk(prometheus, (settings.DEBUG_PORT,)),
            ],
        )
        pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=access.account(name, contract, component, args.namespace, self),
                calls_api=False,
                recreate=True,  # one writer on the volume
                containers=[_registry(contract), _gate(contract)],
                volumes=_volumes(configuration, secret, claim),
                # Both read their files only when they start.
                annotations={
                    "modelyard.dev/configuration": pods.digest(files),
                    "modelyard.dev/credentials": known.checksum(contract, *_CREDENTIALS),
                },
            ),
            self,
        )
        Service(
            f"{name}-service",
            metadata=pods.meta(contract, component, args.namespace),
            spec=ServiceSpecArgs(
                type="NodePort",
                selector={pods.NAME: component},
                ports=[
                    ServicePortArgs(
                        name="https",
                        port=443,
                        target_port="https",
                        node_port=contract.registry.node_port,
                    )
                ],
            ),
            opts=options,
        )


def _secret(contract: Contract) -> dict[str, pulumi.Input[str]]:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    files = {"tls.crt": "registry.crt", "tls.key": "registry.key"}
    hidden: dict[str, pulumi.Input[str]] = {
        key: pulumi.Output.secret(known.credential(contract, file)).apply(encoded)
        for key, file in files.items()
    }
    htpasswd = pulumi.Output.secret(known.credential(contract, "htpasswd"))
    for who in ("readers", "writers"):
        hidden[who] = htpasswd.apply(
            lambda text, who=who: encoded(settings.accounts(text)[who])  # type: ignore[misc]
        )
    return hidden


def _volumes(
    configuration: ConfigMap, secret: Secret, claim: PersistentVolumeClaim
) -> list[VolumeArgs]:
    return [
        VolumeArgs(
            name="settings",
            config_map=ConfigMapVolumeSourceArgs(name=configuration.metadata.name),
        ),
        VolumeArgs(
            name="secret",
            secret=SecretVolumeSourceArgs(secret_name=secret.metadata.name, default_mode=0o440),
        ),
        VolumeArgs(
            name="images",
            persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(
                claim_name=claim.metadata.name
            ),
        ),
        pods.scratch("tmp", "/tmp")[0],  # noqa: S108 - in a container
    ]


def _registry(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.DISTRIBUTION,
        image=known.image(contract, "modelyard/registry"),
        image_pull_policy="IfNotPresent",
        args=["serve", "/etc/registry/config.yml"],
        # It sends traces to a collector on localhost unless told otherwise.
        env=[EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none")],
        ports=[
            ContainerPortArgs(name=spaces.METRICS_PORT, container_port=settings.DEBUG_PORT),
        ],
        resources=pods.resources("50m", "64Mi", cpu_limit="2", memory_limit="512Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/debug/health", spaces.METRICS_PORT),
        readiness_probe=pods.probe("/debug/health", spaces.METRICS_PORT),
        liveness_probe=pods.probe("/metrics", spaces.METRICS_PORT, period=20),
        volume_mounts=[
            VolumeMountArgs(name="settings", mount_path="/etc/registry", read_only=True),
            VolumeMountArgs(name="images", mount_path=settings.IMAGES),
        ],
    )


def _gate(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name="gate",
        image=known.image(contract, "modelyard/traefik"),
        image_pull_policy="IfNotPresent",
        args=settings.gate_arguments(),
        ports=[
            ContainerPortArgs(name="https", container_port=settings.GATE_PORT),
            ContainerPortArgs(name="ping", container_port=settings.PING_PORT),
        ],
        resources=pods.resources("50m", "64Mi", cpu_limit="2", memory_limit="256Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/ping", "ping"),
        readiness_probe=pods.probe("/ping", "ping"),
        liveness_probe=pods.probe("/ping", "ping", period=20),
        volume_mounts=[
            VolumeMountArgs(name="settings", mount_path=settings.GATE, read_only=True),
            VolumeMountArgs(name="secret", mount_path=settings.SECRET, read_only=True),
            pods.scratch("tmp", "/tmp")[1],  # noqa: S108 - in a container
        ],
    )
