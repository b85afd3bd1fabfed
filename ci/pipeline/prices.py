"""What a change costs a month, as far as the table of prices knows. Nothing is guessed."""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, PositiveFloat, PositiveInt

from ci.pipeline.events import Step
from infra import refusal

FILE = Path(__file__).with_name("prices.yaml")
NOT_PRICED = "not priced"


class Entry(BaseModel, extra="forbid", frozen=True):
    """One price: per hour or month of one unit, where and since when it is known."""

    usd: PositiveFloat
    per: Literal["hour", "month"]
    regions: Literal["all"] | list[str]
    source: str
    date: datetime.date


class Instances(BaseModel, extra="forbid", frozen=True):
    """Prices of instance types, which share regions, source and date."""

    regions: list[str]
    source: str
    date: datetime.date
    usd_an_hour: dict[str, PositiveFloat]


class Table(BaseModel, extra="forbid", frozen=True):
    """All prices. ``prices`` by what is paid for, see USES."""

    currency: Literal["USD"]
    hours_a_month: PositiveInt
    prices: dict[str, Entry]
    instances: Instances

    def entry(self, name: str) -> Entry | None:
        """The price of something; instance types are called ``instance:TYPE``."""
        kind = name.removeprefix("instance:")
        if kind == name:
            return self.prices.get(name)
        usd, shared = self.instances.usd_an_hour.get(kind), self.instances
        if usd is None:
            return None
        return Entry(
            usd=usd, per="hour", regions=shared.regions, source=shared.source, date=shared.date
        )

    def monthly(self, name: str, region: str | None) -> float | None:
        """US dollars a month for one unit in a region; None where no price is known."""
        entry = self.entry(name)
        if entry is None or (entry.regions != "all" and region not in entry.regions):
            return None
        return entry.usd * (self.hours_a_month if entry.per == "hour" else 1)


@dataclass(frozen=True)
class Line:
    """One resource before and after; None where it is not there, NOT_PRICED where nobody knows."""

    urn: str
    before: float | str | None
    after: float | str | None


@dataclass(frozen=True)
class Costs:
    """The difference that a preview makes."""

    lines: list[Line]

    @property
    def difference(self) -> float:
        """US dollars a month more (or, below 0, less), of what has a price on both sides."""
        return sum(_usd(line.after) - _usd(line.before) for line in self.lines if _priced(line))

    @property
    def unpriced(self) -> int:
        """How many of the resources have no price."""
        return sum(not _priced(line) for line in self.lines)

    def summary(self) -> str:
        """The difference in words."""
        if not self.lines:
            return "nothing that changes has a price of its own"
        known = f"{self.difference:+,.2f} USD"
        missing = f", {self.unpriced} {NOT_PRICED}" if self.unpriced else ""
        return f"{known} of what is priced{missing} (oldest price of {oldest()})"


Use = tuple[str, float]
"""What is paid for, as the table calls it, and how many units."""


def _nodes(inputs: dict[str, Any]) -> list[Use]:
    """The nodes that a group begins with; spot prices and capacity blocks change by the hour."""
    if inputs.get("capacityType", "ON_DEMAND") != "ON_DEMAND":
        return [("a price that changes", 1)]
    size = float((inputs.get("scalingConfig") or {}).get("minSize") or 0)
    # The types of a group may stand in its launch template; its tag names them in any case.
    tagged = str((inputs.get("tags") or {}).get("modelyard:instance-types") or "").split()
    types = inputs.get("instanceTypes") or tagged or ["of the launch template"]
    return [(f"instance:{types[0]}", size)] if size else []


def _database(inputs: dict[str, Any]) -> list[Use]:
    copies = 2 if inputs.get("multiAz") else 1
    engine = inputs.get("engine")
    return [
        (f"rds-{engine}:{inputs.get('instanceClass')}", copies),
        (
            f"rds-{engine}-storage-{inputs.get('storageType')}",
            copies * float(inputs.get("allocatedStorage") or 0),
        ),
    ]


def _endpoint(inputs: dict[str, Any]) -> list[Use]:
    if inputs.get("vpcEndpointType") != "Interface":
        return []
    return [("vpc-endpoint", len(inputs.get("subnetIds") or []))]


USES: dict[str, Callable[[dict[str, Any]], list[Use]]] = {
    "aws:ec2/eip:Eip": lambda _: [("public-ipv4", 1)],
    "aws:ec2/natGateway:NatGateway": lambda _: [("nat-gateway", 1)],
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:eks/cluster:Cluster": lambda _: [("eks-cluster", 1)],
    "aws:eks/nodeGroup:NodeGroup": _nodes,
    "aws:kms/key:Key": lambda _: [("kms-key", 1)],
    "aws:lb/loadBalancer:LoadBalancer": lambda _: [("network-load-balancer", 1)],
    "aws:rds/instance:Instance": _database,
    "aws:secretsmanager/secret:Secret": lambda _: [("secret", 1)],
}
"""What costs by being there. All other types cost by use, or nothing."""


def difference(steps: Iterable[Step], region: str | None) -> Costs:
    """Costs of all steps whose type has a price of its own, dearest change first."""
    lines = [line for step in steps if (line := _line(step, region))]
    return Costs(sorted(lines, key=lambda line: -abs(_usd(line.after) - _usd(line.before))))


def oldest() -> datetime.date:
    """Date of the oldest price in the table."""
    known = table()
    return min([*(entry.date for entry in known.prices.values()), known.instances.date])


@cache
def table() -> Table:
    """The table of the repository; Refusal when it is unsound."""
    return refusal.read(FILE, Table)


def _line(step: Step, region: str | None) -> Line | None:
    uses = USES.get(step.kind)
    if uses is None or step.op not in ("create", "update", "replace", "delete"):
        return None
    before, after = (_cost(step, side, uses, region) for side in ("old", "new"))
    return None if before == after else Line(step.urn, before, after)


def _cost(
    step: Step, side: str, uses: Callable[[dict[str, Any]], list[Use]], region: str | None
) -> float | str | None:
    state = step.metadata.get(side)
    if not state or (side == "old" and step.op == "create"):
        return None
    sums = [
        (table().monthly(name, region), units) for name, units in uses(state.get("inputs") or {})
    ]
    if any(price is None for price, _ in sums):
        return NOT_PRICED
    return sum(float(price or 0) * units for price, units in sums)


def _usd(cost: float | str | None) -> float:
    return cost if isinstance(cost, float | int) else 0.0


def _priced(line: Line) -> bool:
    return NOT_PRICED not in (line.before, line.after)
