"""Storage classes, and the provisioner of those whose volumes are folders of nodes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import storage
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    ObjectFieldSelectorArgs,
    TopologySelectorLabelRequirementArgs,
    TopologySelectorTermArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces
from infra.storage import OWN, StorageClass

PROVISIONER = "modelyard.dev/local-path"
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
    """Every class of the contract, and local-path-provisioner where one has a folder."""

    storage_class: pulumi.Output[str]
    """The class for every volume of the platform: one of these, or the cluster's own."""

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Storage", name, None, opts)
        folders = any(one.folder for one in args.contract.classes)
        needs = [self._provisioner(name, args)] if folders else []
        made = [
            self._class(
                name, args.contract, one, first=not index, needs=needs if one.folder else []
            )
            for index, one in enumerate(args.contract.classes)
        ]
        self.storage_class = (
            made[0].metadata.name if made else pulumi.Output.from_input(args.contract.storage_class)
        )
        self.register_outputs({"storage_class": self.storage_class})

    def _class(
        self,
        name: str,
        contract: Contract,
        told: StorageClass,
        *,
        first: bool,
        needs: list[Deployment],
    ) -> storage.v1.StorageClass:
        annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if first else {}
        # Without it the kubelet makes a folder that is missing, on whichever disk is there.
        if told.folder and told.folder != OWN.folder:
            annotations["defaultVolumeType"] = "local"
        return storage.v1.StorageClass(
            f"{name}-class-{told.name}",
            metadata=ObjectMetaArgs(
                name=told.name,
                labels=pods.labels(contract, spaces.PROVISIONER),
                annotations=annotations,
            ),
            provisioner=told.provisioner or PROVISIONER,
            parameters=told.parameters or None,
            allow_volume_expansion=told.expandable or None,
            allowed_topologies=_nodes_of(told.pools) if told.pools else None,
            # The scheduler chooses the node first; the volume is made there.
            volume_binding_mode="WaitForFirstConsumer",
            reclaim_policy="Retain" if told.retain else "Delete",
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs, aliases=_former(name, told)),
        )

    def _provisioner(self, name: str, args: StorageArgs) -> Deployment:
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
        folders = _settings(contract.classes)
        settings = ConfigMap(
            f"{name}-settings",
            metadata=pods.meta(contract, component, args.namespace, "local-path-config"),
            data={
                "config.json": folders,
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
        return pods.deployment(
            name,
            pods.Workload(
                contract=contract,
                component=component,
                namespace=args.namespace,
                account=account,
                calls_api=True,
                recreate=True,  # it elects no leader: two at once would make each volume twice
                annotations={"modelyard.dev/configuration": pods.digest({"config.json": folders})},
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


def _nodes_of(pools: Sequence[str]) -> list[TopologySelectorTermArgs]:
    expression = TopologySelectorLabelRequirementArgs(key="modelyard.dev/pool", values=[*pools])
    return [TopologySelectorTermArgs(match_label_expressions=[expression])]


def _former(name: str, told: StorageClass) -> list[pulumi.Alias]:
    """The name under which older states know the one class that there was."""
    return [pulumi.Alias(name=f"{name}-class")] if told.name == OWN.name else []


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
            f"--provisioner-name={PROVISIONER}",
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


def _settings(classes: Sequence[StorageClass]) -> str:
    return json.dumps(
        {"storageClassConfigs": {one.name: _place(one) for one in classes if one.folder}}, indent=1
    )


def _place(told: StorageClass) -> dict[str, object]:
    return {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [told.folder]}]}


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
