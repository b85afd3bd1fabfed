"""Secrets of an environment: their places, never their contents."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import secretsmanager

from infra.foundation.place import Place

NAMES = {
    "token": "Bearer token of the gateway",
    "certificates": "Keys and certificates of the environment's own authority and its servers",
    "signing": "Key that signs images of models",
}


@dataclass(frozen=True, kw_only=True)
class SecretStoreArgs:
    """With which key they are encrypted."""

    place: Place
    key: pulumi.Input[str]


class SecretStore(pulumi.ComponentResource):
    """Empty secrets. `yard` writes their values itself, so that no state ever holds one."""

    arns: dict[str, pulumi.Output[str]]

    def __init__(
        self, name: str, args: SecretStoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:SecretStore", name, None, opts)
        self.arns = {
            called: secretsmanager.Secret(
                f"{name}-{called}",
                name=f"modelyard/{args.place.environment}/{called}",
                description=what,
                kms_key_id=args.key,
                recovery_window_in_days=30 if args.place.protected else 7,
                opts=pulumi.ResourceOptions(parent=self),
            ).arn
            for called, what in NAMES.items()
        }
        self.register_outputs({"arns": dict(self.arns)})
