"""How this machine reaches an account's cluster: with tokens that AWS gives out for 15 minutes.

The file names the command that asks for one, and holds no secret.
"""

import shutil
from typing import Any

import yaml

from infra.foundation.told import Told
from infra.refusal import Refusal

COMMAND = "aws"


def require() -> None:
    """Refuse a machine that has not the command."""
    if shutil.which(COMMAND) is None:
        raise Refusal(
            f"program {COMMAND}",
            None,
            "the kubeconfig of an account's cluster gets its tokens from it (`aws eks get-token`)",
            "Install AWS's command line, version 2.",
        )


def text(told: Told) -> str:
    """The kubeconfig of the cluster that the foundation told of."""
    arguments = ["--region", told.region, "eks", "get-token", "--cluster-name", told.cluster]
    asked: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": COMMAND,
        "args": [*arguments, "--output", "json"],
        "interactiveMode": "Never",
    }
    name = told.cluster
    cluster = {"server": told.api, "certificate-authority-data": told.authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"exec": asked}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)
