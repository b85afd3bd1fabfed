"""Volumes on the nodes' own disks, for clusters whose contract names no other storage."""

import json
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    ObjectFieldSelectorArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage.v1 import StorageClass

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces

# Root's alone on a node; inside it each volume is its pod's.
FOLDER = "/var/lib/modelyard/volumes"
HELPER = "local-path-helper"

_SETUP = """#!/bin/sh
set -eu
mkdir -m 0777 -p "$VOL_DIR"
"""
_TEARDOWN = """#!/bin/sh
set -eu
rm -rf "$VOL_DIR"
"""


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """Where the provisioner runs."""

    contract: Contract
    namespace: pulumi.Input[str]


class Storage(pulumi.ComponentResource):
    """local-path-provisioner and its StorageClass. It bounds no volume's size: the disk does."""

    storage_class: pulumi.Output[str]
    """The class for every volume of the platform: this component's own, or the contract's."""

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Storage", name, None, opts)
        own = args.contract.storage_class == spaces.OWN_STORAGE
        self.storage_class = (
            self._install(name, args)
            if own
            else pulumi.Output.from_input(args.contract.storage_class)
        )
        self.register_outputs({"storage_class": self.storage_class})

    def _install(self, name: str, args: StorageArgs) -> pulumi.Output[str]:
        contract, component = args.contract, spaces.PROVISIONER
        options = pulumi.ResourceOptions(parent=self)
        account = access.account(name, contract, component, args.namespace, self)
        # The helper pods get an account of their own, without any right and without a token.
        helper = access.account(f"{name}-helper", contract, HELPER, args.namespace, self)
        bindings = [
            access.in_namespace(
                name,
                contract,
                component,
                args.namespace,
                account,
                [
                    access.rule("", ["pods"], [*access.READ, "create", "delete"]),
                    access.rule("", ["pods/log"], ["get"]),
                    access.rule("", ["configmaps"], ["get"]),
                ],
                self,
            ),
            access.in_cluster(
                name,
                contract,
                component,
                account,
                [
                    access.rule("", ["nodes", "persistentvolumeclaims"], access.READ),
                    access.rule(
                        "",
                        ["persistentvolumes"],
                        [*access.READ, "create", "update", "patch", "delete"],
                    ),
                    access.rule("", ["events"], ["create", "patch"]),
                    access.rule("storage.k8s.io", ["storageclasses"], access.READ),
                ],
                self,
            ),
        ]
        image = known.image(contract, "modelyard/shell")
        settings = ConfigMap(
            f"{name}-settings",
            metadata=pods.meta(contract, component, args.namespace, "local-path-config"),
            data={
                "config.json": _settings(),
                "setup": _SETUP,
                "teardown": _TEARDOWN,
                "helperPod.yaml": pulumi.Output.from_input(image).apply(_helper_pod),
            },
            opts=options,
        )
        policies.allow(
            name,
            contract,
            args.namespace,
            component,
            self,
            speaks=[policies.api_server(contract), policies.name_service()],
        )
        deployment = pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=True,
                recreate=True,  # it elects no leader: two at once would make each volume twice
                containers=[_container(contract, image, helper.metadata.name)],
                volumes=[
                    VolumeArgs(
                        name="config",
                        config_map=ConfigMapVolumeSourceArgs(name=settings.metadata.name),
                    )
                ],
            ),
            self,
            needs=bindings,
        )
        storage = StorageClass(
            f"{name}-class",
            metadata=ObjectMetaArgs(
                name=spaces.OWN_STORAGE,
                labels=pods.labels(contract, component),
                annotations={"storageclass.kubernetes.io/is-default-class": "true"},
            ),
            provisioner="modelyard.dev/local-path",
            # The scheduler chooses the node first; the volume is made there.
            volume_binding_mode="WaitForFirstConsumer",
            reclaim_policy="Delete",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        return storage.metadata.name


def _container(
    contract: Contract, image: pulumi.Input[str], helper: pulumi.Input[str]
) -> ContainerArgs:
    return ContainerArgs(
        name=spaces.PROVISIONER,
        image=known.image(contract, "modelyard/local-path-provisioner"),
        image_pull_policy="IfNotPresent",
        args=[
            "start",
            "--config=/etc/config/config.json",
            "--helper-pod-file=/etc/config/helperPod.yaml",
            "--provisioner-name=modelyard.dev/local-path",
            pulumi.Output.concat("--helper-image=", image),
            pulumi.Output.concat("--service-account-name=", helper),
        ],
        env=[
            EnvVarArgs(name="CONFIG_MOUNT_PATH", value="/etc/config"),
            EnvVarArgs(
                name="POD_NAMESPACE",
                value_from=EnvVarSourceArgs(
                    field_ref=ObjectFieldSelectorArgs(
                        api_version="v1", field_path="metadata.namespace"
                    )
                ),
            ),
        ],
        resources=pods.resources("10m", "32Mi", cpu_limit="500m", memory_limit="128Mi"),
        security_context=pods.locked(),
        volume_mounts=[VolumeMountArgs(name="config", mount_path="/etc/config", read_only=True)],
        # It serves nothing to ask: it is alive while its process is.
    )


def _settings() -> str:
    return json.dumps(
        {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [FOLDER]}]},
        indent=1,
    )


def _helper_pod(image: str) -> str:
    """The pod that makes and removes a volume's folder; the provisioner adds node and mounts."""
    container = {
        "name": "helper-pod",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi"},
        },
        "securityContext": {
            # Root, and rights over other users' files: it removes what pods have written.
            "runAsUser": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        # The label by which the policies spare it (infra/policy/exemptions.yaml).
        "metadata": {"name": "helper-pod", "labels": {pods.NAME: HELPER}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }
    return json.dumps(pod, indent=1)
