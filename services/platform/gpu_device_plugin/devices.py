"""Simulated devices: their names, and which of them a container gets."""

from collections.abc import Sequence

MOST = 16


def simulated(count: str) -> list[str]:
    """Names of ``count`` simulated devices; ValueError tells what the count must be."""
    if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= MOST:
        raise ValueError(
            f"MODELYARD_GPUS is {count!r}: it must be a number from 1 to {MOST}. "
            "Set it to the gpus_per_node of the simulated pool."
        )
    return [f"simulated-gpu-{index}" for index in range(int(count))]


def preferred(available: Sequence[str], must: Sequence[str], size: int) -> list[str]:
    """What must be included first, then the lowest numbers, ``size`` of them."""
    rest = sorted((name for name in available if name not in must), key=_number)
    return [*must, *rest][:size]


def environment(devices: Sequence[str]) -> dict[str, str]:
    """Variables that tell a container which simulated devices it holds."""
    value = ",".join(sorted(devices, key=_number))
    return {"MODELYARD_SIMULATED_GPU": value, "NVIDIA_VISIBLE_DEVICES": value}


def _number(name: str) -> int:
    return int(name.rsplit("-", 1)[1])
