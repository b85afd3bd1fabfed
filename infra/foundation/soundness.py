"""Rules of an AWS environment that no single key can break alone. Each refusal says its remedy."""

from typing import TYPE_CHECKING

from infra.foundation import pool_soundness, tables
from infra.foundation.addresses import require_addresses, require_ranges
from infra.foundation.settings import Aws
from infra.refusal import Refusal

if TYPE_CHECKING:
    from infra.environment import Environment


def require(environment: "Environment", aws: Aws) -> None:
    """Refuse the environment at its first fault; keys are relative to the environment."""
    _place(aws)
    require_ranges(environment.network)
    for index, pool in enumerate(aws.pools):
        pool_soundness.require(f"aws.pools.{index}", pool, aws)
    _pools(aws)
    require_addresses(environment.network, aws)
    _databases(aws, environment.production)
    _people(aws)
    if environment.production and not environment.protected:
        raise Refusal(
            "protected",
            False,
            "a production environment in an account is protected, so that `yard down` refuses it",
            "Set protected: true.",
        )


def _place(aws: Aws) -> None:
    regions = tables.instances().zones
    if aws.region not in regions:
        raise Refusal(
            "aws.region",
            aws.region,
            f"it is not in {tables.INSTANCES.name}, which has {', '.join(regions)}",
            "Choose one of these, or add the region in ci/aws/tables.py and write the table again.",
        )
    for index, zone in enumerate(aws.zones):
        if zone not in regions[aws.region]:
            raise Refusal(
                f"aws.zones.{index}",
                zone,
                f"{aws.region} has the zone ids {', '.join(regions[aws.region])}",
                "Name three of them; a zone id means the same place in every account.",
            )
    if len(set(aws.zones)) != len(aws.zones):
        raise Refusal("aws.zones", aws.zones, "a zone stands twice", "Name three different zones.")
    sets = tables.sets()
    if aws.versions not in sets.sets:
        raise Refusal(
            "aws.versions",
            aws.versions,
            "this combination of Kubernetes, image, driver, toolkit and plugin is not known to "
            f"work; known on {sets.date}: {', '.join(sets.sets)}",
            "Choose a known set, or add the new one to tables/sets.yaml with who has run it.",
        )


def _pools(aws: Aws) -> None:
    names = [pool.name for pool in aws.pools]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Refusal(
                f"aws.pools.{index}.name",
                name,
                "another pool has this name",
                "Give every pool a name of its own.",
            )
    system = aws.pools[0]
    if (
        system.accelerator is not None
        or system.taints
        or system.capacity != "on-demand"
        or system.min < 2
        or system.arch != "x86_64"
    ):
        raise Refusal(
            "aws.pools.0",
            system.name,
            "the first pool runs the cluster's own parts and the platform: no accelerator, no "
            "taints, on-demand, x86_64, min of 2 or more",
            "Put such a pool first.",
        )


def _databases(aws: Aws, production: bool) -> None:
    for index, one in enumerate(aws.databases):
        where = f"aws.databases.{index}"
        others = aws.databases[:index]
        if any(other.name == one.name or other.use == one.use for other in others):
            raise Refusal(
                f"{where}.name",
                one.name,
                "another database has this name or this use",
                "Keep one database for tracking and one for events.",
            )
        if one.max_gib < one.gib:
            raise Refusal(
                f"{where}.max_gib",
                one.max_gib,
                f"storage grows from gib, which is {one.gib}, up to max_gib",
                f"Set max_gib to {one.gib} or more.",
            )
        if production and not one.multi_az:
            raise Refusal(
                f"{where}.multi_az",
                one.multi_az,
                "a production database has a standby in another zone",
                "Set multi_az: true.",
            )


def _people(aws: Aws) -> None:
    for index, arn in enumerate(aws.admins):
        if arn.split(":")[4] != aws.account:
            raise Refusal(
                f"aws.admins.{index}",
                arn,
                f"the environment has one account, {aws.account}",
                "Name a role of that account.",
            )
