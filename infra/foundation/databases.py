"""The databases of an environment, by their use."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from infra.foundation.database import Database, DatabaseArgs
from infra.foundation.place import Place
from infra.foundation.settings import Database as Settings


@dataclass(frozen=True, kw_only=True)
class DatabasesArgs:
    """The environment's databases, and what they share."""

    place: Place
    settings: Sequence[Settings]
    vpc: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    clients: pulumi.Input[str]
    data_key: pulumi.Input[str]
    logs_key: pulumi.Input[str]
    log_days: int


class Databases(pulumi.ComponentResource):
    """One Database for each entry of the environment's list."""

    by_use: dict[str, Database]

    def __init__(
        self, name: str, args: DatabasesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Databases", name, None, opts)
        self.by_use = {
            one.use: Database(
                f"{name}-{one.name}",
                DatabaseArgs(
                    place=args.place,
                    settings=one,
                    vpc=args.vpc,
                    subnets=args.subnets,
                    clients=args.clients,
                    data_key=args.data_key,
                    logs_key=args.logs_key,
                    log_days=args.log_days,
                ),
                pulumi.ResourceOptions(parent=self),
            )
            for one in args.settings
        }
        self.register_outputs({})
