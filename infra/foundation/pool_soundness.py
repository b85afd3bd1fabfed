"""Rules of one pool: does AWS offer such nodes, and can its GPUs be shared that way?"""

from infra.foundation import placement, tables
from infra.foundation.settings import Aws, Mig, NoSharing, Pool
from infra.refusal import Refusal


def require(where: str, pool: Pool, aws: Aws) -> None:
    """Refuse the pool at its first fault; ``where`` is its key."""
    if pool.max < pool.min:
        raise Refusal(
            f"{where}.max",
            pool.max,
            f"pool {pool.name} has a min of {pool.min}",
            f"Set max to {pool.min} or more, or lower min.",
        )
    _types(where, pool)
    _zones(where, pool, aws)
    _capacity(where, pool, aws)
    _sharing(where, pool)
    _fabric(where, pool, aws)
    _labels(where, pool)


def _types(where: str, pool: Pool) -> None:
    known = tables.instances()
    for index, name in enumerate(pool.instance_types):
        key = f"{where}.instance_types.{index}"
        if name not in known.instances:
            raise Refusal(
                key,
                name,
                f"it is not in {tables.INSTANCES.name} of {known.date}",
                "Correct the name, or add its family in ci/aws/tables.py and write the table.",
            )
        instance = known.instances[name]
        if instance.arch != pool.arch:
            raise Refusal(
                key,
                name,
                f"it is of {instance.arch}, and the pool is of {pool.arch}",
                f"Set arch: {instance.arch}, or name types of {pool.arch}.",
            )
        has = instance.accelerator
        wanted = pool.accelerator
        if (has is None) != (wanted is None) or (
            has and wanted and (has.kind, has.number) != (wanted.kind, wanted.number)
        ):
            offered = f"{{ kind: {has.kind}, number: {has.number} }}" if has else "none"
            raise Refusal(
                key,
                name,
                f"its accelerator is {offered}, and the pool says "
                + (f"{wanted.kind} of {wanted.number}" if wanted else "none"),
                f"Set accelerator to {offered}, or name types that have what the pool says.",
            )
    names = {one.accelerator.name for one in placement.types(pool) if one.accelerator}
    if len(names) > 1:
        raise Refusal(
            f"{where}.instance_types",
            pool.instance_types,
            f"they have different accelerators: {', '.join(sorted(names))}",
            "Make a pool for each: models are measured on one kind of accelerator.",
        )


def _zones(where: str, pool: Pool, aws: Aws) -> None:
    for index, zone in enumerate(pool.zones or []):
        if zone not in aws.zones:
            raise Refusal(
                f"{where}.zones.{index}",
                zone,
                f"it is not among aws.zones: {', '.join(aws.zones)}",
                "Name zones of the environment.",
            )
        if not placement.offers(pool, zone):
            raise _not_offered(f"{where}.zones.{index}", zone, pool, aws)
    if not placement.zones(aws, pool):
        raise _not_offered(f"{where}.instance_types", pool.instance_types, pool, aws)


def _not_offered(key: str, value: object, pool: Pool, aws: Aws) -> Refusal:
    region = tables.instances().zones[aws.region]
    offering = [zone for zone in region if placement.offers(pool, zone)]
    rule = f"no zone of pool {pool.name} offers {', '.join(pool.instance_types)}; " + (
        f"in {aws.region} these do: {', '.join(offering)}"
        if offering
        else f"none in {aws.region} does"
    )
    remedy = "Take such zones into aws.zones and the pool." if offering else "Choose other types."
    return Refusal(key, value, rule, remedy)


def _capacity(where: str, pool: Pool, aws: Aws) -> None:
    block = pool.capacity == "capacity-block"
    if pool.reservation is not None and not block:
        raise Refusal(
            f"{where}.capacity",
            pool.capacity,
            f"the reservation {pool.reservation} is a capacity block: it is paid for in advance, "
            "and neither spot nor on-demand nodes run in it",
            "Set capacity: capacity-block, or take the reservation away.",
        )
    if block and pool.reservation is None:
        raise Refusal(
            f"{where}.reservation",
            None,
            "nodes of a capacity block run in a reservation that was bought",
            "Buy a capacity block and set reservation to its id (cr-…).",
        )
    for index, (name, instance) in enumerate(
        zip(pool.instance_types, placement.types(pool), strict=True)
    ):
        if pool.capacity not in instance.capacity:
            raise Refusal(
                f"{where}.instance_types.{index}",
                name,
                f"it is sold as {', '.join(instance.capacity)}, not as {pool.capacity}",
                "Choose another capacity or another instance type.",
            )
    if block and (len(pool.instance_types) > 1 or len(placement.zones(aws, pool)) > 1):
        raise Refusal(
            f"{where}.capacity",
            pool.capacity,
            "a capacity block is of one instance type in one zone",
            "Name the one instance type and the one zone of the reservation.",
        )


def _sharing(where: str, pool: Pool) -> None:
    if isinstance(pool.sharing, NoSharing):
        return
    if pool.accelerator is None or pool.accelerator.kind != "nvidia":
        raise Refusal(
            f"{where}.sharing.mode",
            pool.sharing.mode,
            "only NVIDIA GPUs are shared so",
            "Take sharing away, or choose instance types with NVIDIA GPUs.",
        )
    if isinstance(pool.sharing, Mig) and pool.sharing.profile not in placement.mig_profiles(pool):
        known = ", ".join(placement.mig_profiles(pool))
        raise Refusal(
            f"{where}.sharing.profile",
            pool.sharing.profile,
            f"the GPUs of {', '.join(pool.instance_types)} have "
            + (f"the profiles {known}" if known else "no MIG"),
            "Choose one of these profiles." if known else "Use time-slicing, or no sharing.",
        )


def _fabric(where: str, pool: Pool, aws: Aws) -> None:
    if pool.efa and any(instance.efa == 0 for instance in placement.types(pool)):
        raise Refusal(
            f"{where}.efa",
            True,
            f"not all of {', '.join(pool.instance_types)} have an Elastic Fabric Adapter",
            "Set efa: false, or choose a larger size.",
        )
    if pool.efa and len(pool.instance_types) > 1:
        raise Refusal(
            f"{where}.instance_types",
            pool.instance_types,
            "nodes that work together over EFA are of one type: its adapters stand in the template",
            "Name one instance type.",
        )
    if pool.placement_group and len(placement.zones(aws, pool)) > 1:
        raise Refusal(
            f"{where}.placement_group",
            True,
            "a placement group lies in one zone, and the pool has "
            + ", ".join(placement.zones(aws, pool)),
            "Name one zone in zones.",
        )


def _labels(where: str, pool: Pool) -> None:
    own = ("modelyard.dev/", "kubernetes.io/", "k8s.io/", "eks.amazonaws.com/", "nvidia.com/")
    for key in pool.labels:
        if key.startswith(own) or any(f".{prefix}" in key for prefix in own[1:3]):
            raise Refusal(
                f"{where}.labels.{key}",
                pool.labels[key],
                "labels under this prefix belong to modelyard, Kubernetes or a vendor",
                "Use a prefix of your own.",
            )
