"""The images of the environment's models: a registry with TLS, accounts and a volume."""

import base64
from dataclasses import dataclass

import pulumi
import yaml
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    Secret,
    SecretVolumeSourceArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces

PORT = 5000
DEBUG_PORT = 5001
_SECRET = "/etc/registry-secret"  # noqa: S105 - a folder
_FILES = {"tls.crt": "registry.crt", "tls.key": "registry.key", "htpasswd": "htpasswd"}


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """Where the registry runs, and how much it may hold."""

    contract: Contract
    namespace: pulumi.Input[str]
    storage_class: pulumi.Input[str]
    gib: int


class Registry(pulumi.ComponentResource):
    """CNCF distribution. Both accounts may push: its htpasswd file knows no rights."""

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Registry", name, None, opts)
        contract, component = args.contract, spaces.DISTRIBUTION
        options = pulumi.ResourceOptions(parent=self)
        account = access.account(name, contract, component, args.namespace, self)
        settings = ConfigMap(
            f"{name}-settings",
            metadata=pods.meta(contract, component, args.namespace),
            data={"config.yml": _settings()},
            opts=options,
        )
        secret = Secret(
            f"{name}-secret",
            metadata=pods.meta(contract, component, args.namespace),
            data={key: _hidden(contract, file) for key, file in _FILES.items()},
            opts=options,
        )
        claim = PersistentVolumeClaim(
            f"{name}-volume",
            metadata=pods.meta(contract, component, args.namespace),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": f"{args.gib}Gi"}),
            ),
            opts=options,
        )
        policies.allow(
            name,
            contract,
            args.namespace,
            component,
            self,
            hears=[
                policies.Talk((), (PORT,)),
                policies.Talk(
                    policies.component(spaces.MONITORING, spaces.PROMETHEUS), (DEBUG_PORT,)
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
                calls_api=False,
                recreate=True,  # one writer on the volume
                container=_container(contract),
                volumes=[
                    VolumeArgs(
                        name="settings",
                        config_map=ConfigMapVolumeSourceArgs(name=settings.metadata.name),
                    ),
                    VolumeArgs(
                        name="secret",
                        secret=SecretVolumeSourceArgs(
                            secret_name=secret.metadata.name, default_mode=0o440
                        ),
                    ),
                    VolumeArgs(
                        name="images",
                        persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(
                            claim_name=claim.metadata.name
                        ),
                    ),
                ],
                # It reads its certificate and its accounts only when it starts.
                annotations={
                    "modelyard.dev/credentials": known.checksum(contract, *_FILES.values())
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
        self.register_outputs({})


def _hidden(contract: Contract, file: str) -> pulumi.Output[str]:
    content = pulumi.Output.secret(known.credential(contract, file))
    return content.apply(lambda text: base64.b64encode(text.encode()).decode())


def _container(contract: Contract) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.DISTRIBUTION,
        image=known.image(contract, "modelyard/registry"),
        image_pull_policy="IfNotPresent",
        args=["serve", "/etc/registry/config.yml"],
        # It sends traces to a collector on localhost unless told otherwise.
        env=[EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none")],
        ports=[
            ContainerPortArgs(name="https", container_port=PORT),
            ContainerPortArgs(name=spaces.METRICS_PORT, container_port=DEBUG_PORT),
        ],
        resources=pods.resources("50m", "64Mi", cpu_limit="2", memory_limit="512Mi"),
        security_context=pods.locked(),
        startup_probe=pods.starting("/", "https", scheme="HTTPS"),
        readiness_probe=pods.probe("/", "https", scheme="HTTPS"),
        liveness_probe=pods.probe("/", "https", scheme="HTTPS", period=20),
        volume_mounts=[
            VolumeMountArgs(name="settings", mount_path="/etc/registry", read_only=True),
            VolumeMountArgs(name="secret", mount_path=_SECRET, read_only=True),
            VolumeMountArgs(name="images", mount_path="/var/lib/registry"),
        ],
    )


def _settings() -> str:
    """The registry's own configuration."""
    return yaml.safe_dump(
        {
            "version": 0.1,
            "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": "/var/lib/registry"},
                "delete": {"enabled": True},
                "cache": {"blobdescriptor": "inmemory"},
            },
            "http": {
                "addr": f":{PORT}",
                # Redirects stay relative: nodes and this machine use different addresses.
                "relativeurls": True,
                "headers": {"X-Content-Type-Options": ["nosniff"]},
                "tls": {
                    "certificate": f"{_SECRET}/tls.crt",
                    "key": f"{_SECRET}/tls.key",
                    "minimumtls": "tls1.2",
                },
                "debug": {
                    "addr": f":{DEBUG_PORT}",
                    "prometheus": {"enabled": True, "path": "/metrics"},
                },
            },
            "auth": {"htpasswd": {"realm": "modelyard", "path": f"{_SECRET}/htpasswd"}},
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        },
        sort_keys=False,
    )
