"""Where an environment's tools come from: `vendor`, `mirror` or `closed`.

vendor: releases that vendor.toml pins; what it does not list is built. mirror: built from Go
modules and Debian packages by way of a team's own mirrors, which the ordinary settings name
(GOPROXY, MODELYARD_DEBIAN_SOURCES). closed: built from the public package registries.
"""

import json
from typing import Literal

from ci.toolchain import vendor
from infra import places
from infra.environment import Environment

Supply = Literal["vendor", "mirror", "closed"]
RECORD = "supply.json"


def resolve(environment: Environment) -> Supply:
    """The environment's supply; `detect` finds it out once and keeps to it.

    It becomes `vendor` only where the vendors answer and every digest is pinned. It is part
    of the environment's state, as is what was made with it.
    """
    if environment.supply != "detect":
        return environment.supply
    record = places.state(environment.name) / RECORD
    if record.is_file():
        found: Supply = json.loads(record.read_text())["supply"]
        return found
    supply, reason = _detect()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"supply": supply, "reason": reason}) + "\n")
    return supply


def _detect() -> tuple[Supply, str]:
    vendors = vendor.load()
    if unpinned := vendors.unpinned():
        return "closed", f"vendor.toml has no digest for {', '.join(unpinned)}"
    if trouble := vendor.answers(vendors.probe):
        return "closed", f"{vendors.probe} does not answer: {trouble}"
    return "vendor", f"{vendors.probe} answers"
