"""Custom resource definitions, taken from their projects' own files as typed resources."""

from collections.abc import Iterator
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions.v1 import CustomResourceDefinition
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.contract import Contract
from infra.platform import known, pods


def define(
    name: str, contract: Contract, component: str, parent: pulumi.Resource
) -> list[CustomResourceDefinition]:
    """Register the definitions of a component, each under the name that its file gives it."""
    return [
        CustomResourceDefinition(
            f"{name}-{document['metadata']['name']}",
            metadata=ObjectMetaArgs(
                name=document["metadata"]["name"],
                labels=pods.labels(contract, component),
                annotations=document["metadata"].get("annotations"),
            ),
            spec=document["spec"],
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for document in _sorted(known.definitions(contract, component))
    ]


def _sorted(documents: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda document: str(document["metadata"]["name"]))
