"""Objects that several tests use, and a session of the stand-in without an engine."""

import threading
from typing import Any

from infra.plugins.kubernetes.cluster import Cluster
from infra.plugins.kubernetes.engine import Log
from infra.plugins.kubernetes.operations import Session, Target


class Heard(Log):
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")
        self.lines: list[str] = []

    def _send(self, severity: Any, urn: str, text: str, *, ephemeral: bool = False) -> None:
        self.lines.append(text)


def session(cluster: Cluster, **options: Any) -> Session:
    """A session on a cluster; what it says is in ``session.log.lines``."""
    return Session(cluster, Heard(), threading.Event(), **options)


def heard(found: Session) -> list[str]:
    """What a session said."""
    assert isinstance(found.log, Heard)
    return found.log.lines


def target(token: str, name: str, identifier: str = "") -> Target:
    """The resource ``name`` of a kind, with the engine's id where it has been created."""
    return Target(f"urn:pulumi:test::trial::{token}::{name}", token, identifier)


CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
ROLLOUT = "kubernetes:argoproj.io/v1alpha1:Rollout"


def config_map(namespace: str, name: str = "one", **data: str) -> dict[str, Any]:
    """Inputs of a ConfigMap, as Check completes them."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data or {"color": "red"},
    }


def deployment(namespace: str, name: str = "app", *, replicas: int = 1) -> dict[str, Any]:
    """Inputs of a Deployment."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "example.test/app:1",
                            "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                        }
                    ]
                },
            },
        },
    }


def definition(group: str, plural: str, kind: str, *, version: str = "v1") -> dict[str, Any]:
    """A custom resource definition that takes any spec and has a status of its own."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }
