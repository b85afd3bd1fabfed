"""Writes infra/foundation/tables/instances.yaml: `.venv/bin/python -m ci.aws.tables`.

The facts are AWS's own answers (DescribeInstanceTypes, DescribeInstanceTypeOfferings), of which
moto carries a dated copy. `ci.aws.survey` compares the table with an account when there is one.
"""

import gzip
import json
import re
from importlib import metadata, util
from pathlib import Path
from typing import Any

import yaml

from infra.foundation import tables

REGIONS = ("eu-central-1", "eu-north-1", "eu-west-1", "us-east-1", "us-east-2", "us-west-2")
FAMILIES = (
    *("m6i", "m7i", "m7g", "m8g", "c7i", "r7i"),
    *("g4dn", "g5", "g5g", "g6", "g6e", "g7e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200"),
    *("inf2", "trn1", "trn1n", "trn2"),
)
SIZES = re.compile(r"(large|[0-9]+xlarge|xlarge)")
DATES = {"5.2.5": "2026-10-27"}
"""Day of release by version of moto: the copy is no younger."""


def document() -> dict[str, Any]:
    """The whole table."""
    version = metadata.version("moto")
    zones: dict[str, list[str]] = {}
    offered: dict[str, list[str]] = {}
    for region in REGIONS:
        rows = _read(f"instance_type_offerings/availability-zone-id/{region}.json.gz")
        zones[region] = sorted({row["Location"] for row in rows})
        for row in rows:
            offered.setdefault(row["InstanceType"], []).append(row["Location"])
    types = _read("instance_types.json.gz")
    chosen = {
        name: _row(types[name], offered[name])
        for name in sorted(types)
        if _wanted(name) and offered.get(name)
    }
    return {
        "source": f"EC2 DescribeInstanceTypes and -Offerings, in the copy of moto {version}",
        "date": DATES[version],
        "zones": zones,
        "instances": chosen,
    }


def text() -> str:
    """The table as its file has it."""
    head = f"# {str(__doc__).splitlines()[0]}\n"
    return head + yaml.safe_dump(document(), sort_keys=False, width=96, default_flow_style=None)


def _wanted(name: str) -> bool:
    family, _, size = name.partition(".")
    return family in FAMILIES and SIZES.fullmatch(size) is not None


def _row(found: dict[str, Any], zones: list[str]) -> dict[str, Any]:
    network = found["NetworkInfo"]
    row: dict[str, Any] = {
        "arch": found["ProcessorInfo"]["SupportedArchitectures"][0],
        "vcpus": found["VCpuInfo"]["DefaultVCpus"],
        "memory_mib": found["MemoryInfo"]["SizeInMiB"],
        "interfaces": network["NetworkCards"][0]["MaximumNetworkInterfaces"],
        "addresses_per_interface": network["Ipv4AddressesPerInterface"],
        "network_cards": network["MaximumNetworkCards"],
        "efa": network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
        "capacity": sorted(found["SupportedUsageClasses"]),
        "zones": sorted(zones),
    }
    for kind, devices in {
        "nvidia": found.get("GpuInfo", {}).get("Gpus", []),
        "neuron": found.get("NeuronInfo", {}).get("NeuronDevices", []),
    }.items():
        for device in devices:
            row["accelerator"] = {
                "kind": kind,
                "name": device["Name"],
                "number": device["Count"],
                "memory_mib": device["MemoryInfo"]["SizeInMiB"],
            }
    return row


def _read(name: str) -> Any:
    # Without importing moto: that takes a second, and its data are all that is wanted.
    spec = util.find_spec("moto")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("moto is not installed: run `make setup`")
    folder = Path(spec.submodule_search_locations[0]) / "ec2" / "resources"
    return json.loads(gzip.decompress((folder / name).read_bytes()))


if __name__ == "__main__":
    tables.INSTANCES.write_text(text())
