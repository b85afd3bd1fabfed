"""Names of simulated devices, and which of them a container gets."""

import pytest

from services.platform.gpu_device_plugin.devices import environment, preferred, simulated


def test_every_name_says_that_the_device_is_simulated() -> None:
    assert simulated("2") == ["simulated-gpu-0", "simulated-gpu-1"]


@pytest.mark.parametrize("count", ["", "0", "17", "-1", "two", "1.0", " 2", "²"])
def test_a_count_that_no_pool_has_is_refused_with_the_remedy(count: str) -> None:
    with pytest.raises(ValueError, match=r"from 1 to 16\. Set it to the gpus_per_node"):
        simulated(count)


def test_what_must_be_included_comes_first_and_low_numbers_follow() -> None:
    available = simulated("12")

    assert preferred(available, ["simulated-gpu-11"], 3) == [
        "simulated-gpu-11",
        "simulated-gpu-0",
        "simulated-gpu-1",
    ]
    assert preferred(["simulated-gpu-10", "simulated-gpu-9"], [], 1) == ["simulated-gpu-9"]


def test_a_container_is_told_its_devices_by_name() -> None:
    told = environment(["simulated-gpu-10", "simulated-gpu-2"])

    assert told == {
        "MODELYARD_SIMULATED_GPU": "simulated-gpu-2,simulated-gpu-10",
        "NVIDIA_VISIBLE_DEVICES": "simulated-gpu-2,simulated-gpu-10",
    }
