"""Every volume of the account is encrypted, whoever makes it."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import ebs


@dataclass(frozen=True, kw_only=True)
class DisksArgs:
    """The key for volumes that name none."""

    key: pulumi.Input[str]


class Disks(pulumi.ComponentResource):
    """The account's default for EBS: encrypted, with our key. The CSI driver follows it."""

    ready: list[pulumi.Resource]

    def __init__(
        self, name: str, args: DisksArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Disks", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        self.ready = [
            ebs.EncryptionByDefault(f"{name}-encrypted", enabled=True, opts=options),
            ebs.DefaultKmsKey(f"{name}-key", key_arn=args.key, opts=options),
        ]
        self.register_outputs({})
