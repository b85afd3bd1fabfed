"""Storage classes of the contract, and the claims of the platform's own volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import storage
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    TopologySelectorLabelRequirementArgs,
    TopologySelectorTermArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.contract import Contract
from infra.platform import pods, provisioner, spaces
from infra.storage import OWN, PROVISIONER, StorageClass, in_folders


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
        contract = args.contract
        folders = in_folders(contract.classes)
        needs = [provisioner.install(name, contract, args.namespace, self)] if folders else []
        made = [
            self._class(name, contract, one, first=not index, needs=needs if one.folder else [])
            for index, one in enumerate(contract.classes)
        ]
        self.storage_class = (
            made[0].metadata.name if made else pulumi.Output.from_input(contract.storage_class)
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


def claim(
    name: str,
    metadata: ObjectMetaArgs,
    storage_class: pulumi.Input[str],
    gib: int,
    parent: pulumi.Resource,
) -> PersistentVolumeClaim:
    """Ask for a volume that one pod writes to. It stays where it was made, whichever class is the
    first later."""
    return PersistentVolumeClaim(
        f"{name}-volume",
        metadata=metadata,
        spec=PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=storage_class,
            resources=VolumeResourceRequirementsArgs(requests={"storage": f"{gib}Gi"}),
        ),
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["spec.storageClassName"]),
    )


def _nodes_of(pools: Sequence[str]) -> list[TopologySelectorTermArgs]:
    expression = TopologySelectorLabelRequirementArgs(key="modelyard.dev/pool", values=[*pools])
    return [TopologySelectorTermArgs(match_label_expressions=[expression])]


def _former(name: str, told: StorageClass) -> list[pulumi.Alias]:
    """The name under which older states know the one class that there was."""
    return [pulumi.Alias(name=f"{name}-class")] if told.name == OWN.name else []
