"""What the namespace of models has before the first model: an account, a pull secret, a network."""

import base64
import json
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import (
    LocalObjectReferenceArgs,
    Secret,
    ServiceAccount,
)

from infra.contract import Contract
from infra.platform import known, pods, policies, spaces


@dataclass(frozen=True, kw_only=True)
class ModelAccessArgs:
    """The namespace of models."""

    contract: Contract
    namespace: pulumi.Input[str]


class ModelAccess(pulumi.ComponentResource):
    """Who models are on the cluster. They may not ask the API server, nor speak to anybody."""

    def __init__(
        self, name: str, args: ModelAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:ModelAccess", name, None, opts)
        contract = args.contract
        options = pulumi.ResourceOptions(parent=self)
        pulls = [self._pull_secret(name, args)] if contract.registry.pulled_by == "password" else []
        ServiceAccount(
            f"{name}-account",
            metadata=pods.meta(contract, "models", args.namespace, spaces.MODEL_ACCOUNT),
            automount_service_account_token=False,
            image_pull_secrets=pulls or None,
            opts=options,
        )
        policies.allow(
            name,
            contract,
            args.namespace,
            None,
            self,
            hears=[
                policies.Talk(
                    (
                        *policies.gateway(contract),
                        *policies.prometheus(contract),
                    ),
                    (spaces.MODEL_PORT_NUMBER,),
                )
            ],
        )
        self.register_outputs({})

    def _pull_secret(self, name: str, args: ModelAccessArgs) -> LocalObjectReferenceArgs:
        contract = args.contract
        password = pulumi.Output.secret(known.credential(contract, "registry-pull"))
        secret = Secret(
            f"{name}-pull",
            metadata=pods.meta(contract, "models", args.namespace, spaces.PULL_SECRET),
            type="kubernetes.io/dockerconfigjson",
            data={
                ".dockerconfigjson": password.apply(
                    lambda text: _docker_config(contract.registry.pull, text)
                )
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        return LocalObjectReferenceArgs(name=secret.metadata.name)


def _docker_config(address: str, password: str) -> str:
    auth = base64.b64encode(f"pull:{password}".encode()).decode()
    document = json.dumps({"auths": {address: {"auth": auth}}})
    return base64.b64encode(document.encode()).decode()
