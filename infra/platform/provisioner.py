"""local-path-provisioner: makes each volume of a class a folder on the disk of a node."""

import json
from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
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

from infra.contract import Contract
from infra.platform import access, known, pods, policies, spaces
from infra.storage import PROVISIONER, StorageClass, in_folders

HELPER = "local-path-helper"

_SETUP = """#!/bin/sh
set -eu
mkdir -m 0777 -p "$VOL_DIR"
"""
_TEARDOWN = """#!/bin/sh
set -eu
rm -rf "$VOL_DIR"
"""


def install(
    name: str, contract: Contract, namespace: pulumi.Input[str], parent: pulumi.Resource
) -> Deployment:
    """The provisioner, with rights over volumes and its pods that make and remove folders."""
    component = spaces.PROVISIONER
    account = access.account(name, contract, component, namespace, parent)
    # The helper pods get an account of their own, without any right and without a token.
    helper = access.account(f"{name}-helper", contract, HELPER, namespace, parent)
    bindings = [
        access.in_namespace(
            name,
            contract,
            component,
            namespace,
            account,
            [
                access.rule("", ["pods"], [*access.READ, "create", "delete"]),
                access.rule("", ["pods/log"], ["get"]),
                access.rule("", ["configmaps"], ["get"]),
            ],
            parent,
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
            parent,
        ),
    ]
    image = known.image(contract, "modelyard/shell")
    folders = _settings(contract.classes)
    settings = ConfigMap(
        f"{name}-settings",
        metadata=pods.meta(contract, component, namespace, "local-path-config"),
        data={
            "config.json": folders,
            "setup": _SETUP,
            "teardown": _TEARDOWN,
            "helperPod.yaml": pulumi.Output.from_input(image).apply(_helper_pod),
        },
        opts=pulumi.ResourceOptions(parent=parent),
    )
    policies.allow(
        name,
        contract,
        namespace,
        component,
        parent,
        speaks=[policies.api_server(contract), policies.name_service()],
    )
    return pods.deployment(
        name,
        pods.Workload(
            contract=contract,
            component=component,
            namespace=namespace,
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
        parent,
        needs=bindings,
    )


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
    everywhere = "DEFAULT_PATH_FOR_NON_LISTED_NODES"
    places = {
        name: {"nodePathMap": [{"node": everywhere, "paths": [folder]}]}
        for name, folder in in_folders(classes).items()
    }
    return json.dumps({"storageClassConfigs": places}, indent=1)


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
