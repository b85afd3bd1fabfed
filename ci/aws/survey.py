"""Whether an account agrees with what the tables believe of it: zones, instance types, versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.foundation import placement, tables
from infra.foundation.settings import Aws

SSM = "/aws/service/eks/optimized-ami"


@dataclass(frozen=True)
class Disagreement:
    """What the table says, and what the account answers."""

    what: str
    believed: str
    found: str


def compare(session: boto3.Session, aws: Aws) -> list[Disagreement]:
    """All disagreements about what this environment uses. Changes nothing in the account."""
    return [*_zones(session, aws), *_types(session, aws), *_versions(session, aws)]


def _zones(session: boto3.Session, aws: Aws) -> Iterator[Disagreement]:
    answer = session.client("ec2").describe_availability_zones()
    found = {zone["ZoneId"] for zone in answer["AvailabilityZones"]}
    for zone in aws.zones:
        if zone not in found:
            yield Disagreement(f"zone {zone}", "offered", f"this account has {_list(found)}")


def _types(session: boto3.Session, aws: Aws) -> Iterator[Disagreement]:
    client = session.client("ec2")
    names = sorted({name for pool in aws.pools for name in pool.instance_types})
    offered: dict[str, set[str]] = {}
    pages = client.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone-id",
        Filters=[{"Name": "instance-type", "Values": names}],
    )
    for page in pages:
        for one in page["InstanceTypeOfferings"]:
            offered.setdefault(one["InstanceType"], set()).add(one["Location"])
    for pool in aws.pools:
        for name in pool.instance_types:
            for zone in placement.zones(aws, pool):
                if zone not in offered.get(name, set()):
                    where = _list(offered.get(name, set())) or "nowhere"
                    yield Disagreement(f"{name} in {zone}", "offered", f"offered in {where}")


def _versions(session: boto3.Session, aws: Aws) -> Iterator[Disagreement]:
    known = tables.sets().sets[aws.versions]
    eks = session.client("eks")
    for name, version in known.addons.items():
        answer = eks.describe_addon_versions(addonName=name, kubernetesVersion=known.kubernetes)
        found = {
            each["addonVersion"] for addon in answer["addons"] for each in addon["addonVersions"]
        }
        if version not in found:
            yield Disagreement(f"add-on {name}", version, _list(found) or "none")
    day = known.image_release.rsplit("-", 1)[-1]
    for kind in sorted({_image(pool.arch, placement.kind(pool)) for pool in aws.pools}):
        arch, variant = kind.split("/")
        image = f"amazon-eks-node-al2023-{arch}-{variant}-{known.kubernetes}-v{day}"
        folder = f"{SSM}/{known.kubernetes}/amazon-linux-2023/{kind}/{image}"
        found_release = _parameter(session, f"{folder}/release_version")
        if found_release != known.image_release:
            yield Disagreement(f"image {image}", known.image_release, found_release or "absent")


def _image(arch: str, kind: str) -> str:
    return f"{arch}/" + {"cpu": "standard", "gpu": "nvidia", "neuron": "neuron"}[kind]


def _parameter(session: boto3.Session, name: str) -> str | None:
    client: Any = session.client("ssm")
    try:
        value: str = client.get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        return None
    return value


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
