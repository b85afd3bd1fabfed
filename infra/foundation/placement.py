"""Where the nodes of a pool may be, and what one of them is. Reads the tables."""

from infra.foundation import sizing, tables
from infra.foundation.settings import Aws, Mig, Pool, TimeSlicing
from infra.foundation.tables import Instance

ACCELERATOR_TAINTS = {
    "nvidia": "nvidia.com/gpu=present:NoSchedule",
    "neuron": "aws.amazon.com/neuron=present:NoSchedule",
}
RESOURCES = {"nvidia": "nvidia.com/gpu", "neuron": "aws.amazon.com/neuron"}
KINDS = {"nvidia": "gpu", "neuron": "neuron"}


def types(pool: Pool) -> list[Instance]:
    """The rows of a pool's instance types; KeyError for one that the table has not."""
    return [tables.instances().instances[name] for name in pool.instance_types]


def zones(aws: Aws, pool: Pool) -> tuple[str, ...]:
    """Zones in which the pool may have nodes: the named ones, else all that offer its types."""
    if pool.zones is not None:
        return tuple(pool.zones)
    return tuple(zone for zone in aws.zones if offers(pool, zone))


def offers(pool: Pool, zone: str) -> bool:
    """Whether a zone offers every instance type of a pool."""
    return all(zone in instance.zones for instance in types(pool))


def kind(pool: Pool) -> str:
    """``cpu``, ``gpu`` or ``neuron``: what pods of the platform and of models ask for."""
    return KINDS[pool.accelerator.kind] if pool.accelerator else "cpu"


def labels(pool: Pool) -> dict[str, str]:
    """Labels that every node of the pool has. The same keys as on a cluster of hosts."""
    marks = {"modelyard.dev/pool": pool.name, "modelyard.dev/kind": kind(pool)}
    if pool.accelerator and pool.accelerator.kind == "nvidia":
        marks["nvidia.com/gpu.present"] = "true"
    return marks | pool.labels


def taints(pool: Pool) -> list[str]:
    """Taints that keep away what did not ask for the pool."""
    own = [ACCELERATOR_TAINTS[pool.accelerator.kind]] if pool.accelerator else []
    return [*own, *pool.taints]


def mig_profiles(pool: Pool) -> dict[str, int]:
    """MIG profiles of the pool's GPUs, empty where they cannot be divided."""
    accelerators = {
        f"{instance.accelerator.name} {instance.accelerator.memory_mib}"
        for instance in types(pool)
        if instance.accelerator
    }
    found = [tables.gpus().mig.get(name, {}) for name in sorted(accelerators)]
    return found[0] if len(found) == 1 else {}


def devices(pool: Pool) -> int:
    """Devices that pods can ask for on one node, with the pool's sharing."""
    match pool.sharing:
        case Mig(profile=profile):
            return sizing.devices(pool, mig_profiles(pool)[profile])
        case TimeSlicing(replicas=replicas):
            return sizing.devices(pool, replicas)
        case _:
            return sizing.devices(pool, 1)


def max_pods(pool: Pool) -> int:
    """Pods of one node: what the smallest instance type of the pool can address."""
    return min(sizing.max_pods(instance) for instance in types(pool))
