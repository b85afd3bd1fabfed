"""Known-good tables: where they come from, and that nobody edited them by hand."""

import re
from datetime import date

import pytest

from ci.aws import tables as writer
from ci.toolchain import vendor
from infra import environment
from infra.foundation import images, placement, tables


@pytest.mark.parametrize("table", [tables.instances(), tables.gpus(), tables.sets()])
def test_every_table_says_its_source_and_its_day(
    table: tables.Instances | tables.Gpus | tables.Sets,
) -> None:
    assert len(table.source) > 10
    assert date(2025, 1, 1) < date.fromisoformat(table.date) < date(2030, 1, 1)


def test_the_table_of_instance_types_is_what_its_source_says() -> None:
    assert tables.INSTANCES.read_text() == writer.text(), "run `python -m ci.aws.tables`"


def test_zones_of_the_table_lie_in_its_regions() -> None:
    known = {zone for zones in tables.instances().zones.values() for zone in zones}

    for name, instance in tables.instances().instances.items():
        assert instance.zones, name
        assert set(instance.zones) <= known, name


def test_every_gpu_with_profiles_is_in_an_instance_type() -> None:
    found = {
        f"{one.accelerator.name} {one.accelerator.memory_mib}"
        for one in tables.instances().instances.values()
        if one.accelerator
    }

    assert set(tables.gpus().mig) <= found


def test_profiles_fit_into_their_gpu() -> None:
    for gpu, profiles in tables.gpus().mig.items():
        memory_gib = int(gpu.split()[-1]) / 1024
        for profile, number in profiles.items():
            slices, gib = re.match(r"(\d)g\.(\d+)gb", profile).groups()  # type: ignore[union-attr]
            assert number * int(slices) <= 7, (gpu, profile)
            # Names round up; a GPU of 183359 MiB is called one of 180 GB.
            assert number * int(gib) <= memory_gib * 1.05, (gpu, profile)


def test_every_set_names_all_that_a_cluster_pins() -> None:
    for name, one in tables.sets().sets.items():
        assert one.image_release.startswith(f"{one.kubernetes}."), name
        assert set(one.addons) == {
            "vpc-cni",
            "coredns",
            "kube-proxy",
            "eks-pod-identity-agent",
            "aws-ebs-csi-driver",
        }
        assert all("-eksbuild." in version for version in one.addons.values()), name


def test_a_divided_gpu_offers_as_many_devices_as_its_profile_yields() -> None:
    aws = environment.load("prod").aws
    assert aws is not None
    devices = {pool.name: placement.devices(pool) for pool in aws.pools}

    assert devices["gpu"] == 1
    assert devices["gpu-parts"] == 8 * 7
    assert devices["arm"] == 0


def test_time_slices_are_offered_as_devices() -> None:
    aws = environment.load("staging").aws
    assert aws is not None

    assert {pool.name: placement.devices(pool) for pool in aws.pools}["gpu-shared"] == 4


def test_images_of_vendors_are_of_the_versions_that_the_sets_name() -> None:
    known = vendor.load().image
    for one in tables.sets().sets.values():
        assert known["nvidia-device-plugin"].reference.endswith(f":v{one.device_plugin}")
        assert f"-{one.dcgm_exporter}-" in known["dcgm-exporter"].reference
        assert f":v{one.kubernetes}." in known["cluster-autoscaler"].reference


def test_every_image_of_a_vendor_has_a_reference_a_source_and_a_date() -> None:
    assert vendor.load().image.keys() == set(images.VENDORS)
    assert all(one.source and one.date for one in vendor.load().image.values())
