"""Costs of a change, from a table that knows little and guesses nothing."""

from pathlib import Path
from typing import Any

import pytest

from ci.pipeline import prices
from ci.pipeline.events import Step
from ci.pipeline.prices import NOT_PRICED
from infra import refusal
from infra.refusal import Refusal

HOURS = prices.table().hours_a_month
GROUP = "aws:eks/nodeGroup:NodeGroup"


def step(kind: str, op: str, old: Any = None, new: Any = None, name: str = "one") -> Step:
    sides = {"old": old, "new": new}
    metadata = {side: {"inputs": inputs} for side, inputs in sides.items() if inputs is not None}
    return Step(f"urn:pulumi:dev::modelyard-foundation::{kind}::{name}", op, metadata=metadata)


def nodes(size: int, kind: str = "g6.xlarge", capacity: str = "ON_DEMAND") -> dict[str, Any]:
    return {
        "instanceTypes": [kind],
        "capacityType": capacity,
        "scalingConfig": {"minSize": size, "maxSize": 9},
    }


def difference(*steps: Step, region: str = "us-east-1") -> prices.Costs:
    return prices.difference(steps, region)


def test_what_is_created_costs_its_hours() -> None:
    found = difference(step("aws:eks/cluster:Cluster", "create", new={}))

    assert found.difference == pytest.approx(0.10 * HOURS)
    assert found.summary().startswith("+73.00 USD of what is priced (oldest price of ")


def test_what_is_deleted_costs_no_more() -> None:
    found = difference(step("aws:kms/key:Key", "delete", old={}))

    assert found.difference == -1.0


def test_a_change_costs_the_difference() -> None:
    found = difference(step(GROUP, "update", old=nodes(1), new=nodes(3)))

    assert found.difference == pytest.approx(2 * 0.8048 * HOURS)


def test_an_empty_pool_costs_nothing() -> None:
    found = difference(step(GROUP, "create", new=nodes(0)))

    assert found.lines == [prices.Line(found.lines[0].urn, None, 0.0)]
    assert found.difference == 0


def test_a_type_that_stands_in_the_template_is_known_by_the_groups_tag() -> None:
    tagged = nodes(2) | {"tags": {"modelyard:instance-types": "g6.xlarge"}}
    del tagged["instanceTypes"]

    found = difference(step(GROUP, "create", new=tagged))

    assert found.difference == pytest.approx(2 * 0.8048 * HOURS)


def test_a_second_zone_doubles_a_database() -> None:
    one = {
        "engine": "postgres",
        "instanceClass": "db.t4g.medium",
        "storageType": "gp3",
        "allocatedStorage": 20,
    }
    found = difference(step("aws:rds/instance:Instance", "update", one, {**one, "multiAz": True}))

    assert found.difference == pytest.approx(0.065 * HOURS + 20 * 0.115)


@pytest.mark.parametrize(
    ("kind", "inputs", "region"),
    [
        (GROUP, nodes(1), "us-west-2"),  # a price of another region is no price
        (GROUP, nodes(1, kind="x9.unheard"), "us-east-1"),
        (GROUP, nodes(1, capacity="SPOT"), "us-east-1"),
        ("aws:lb/loadBalancer:LoadBalancer", {}, "us-east-1"),
    ],
)
def test_what_the_table_does_not_know_is_not_priced_and_in_no_sum(
    kind: str, inputs: dict[str, Any], region: str
) -> None:
    found = difference(step(kind, "create", new=inputs), region=region)

    assert [line.after for line in found.lines] == [NOT_PRICED]
    assert found.difference == 0
    assert "1 not priced" in found.summary()


def test_what_has_no_price_of_its_own_is_no_line() -> None:
    role = step("aws:iam/role:Role", "create", new={})

    assert difference(role).lines == []
    assert difference(role).summary() == "nothing that changes has a price of its own"


def test_the_dearest_change_comes_first() -> None:
    found = difference(
        step("aws:kms/key:Key", "create", new={}, name="key"),
        step("aws:eks/cluster:Cluster", "create", new={}, name="cluster"),
    )

    assert [line.urn.rpartition("::")[2] for line in found.lines] == ["cluster", "key"]


def test_every_price_has_a_source_and_a_date_that_is_past() -> None:
    table = prices.table()

    known = [(entry.source, entry.date) for entry in table.prices.values()]
    for source, date in [*known, (table.instances.source, table.instances.date)]:
        assert len(source) > 10
        assert date.year >= 2024


def test_a_price_without_a_source_is_refused(tmp_path: Path) -> None:
    text = prices.FILE.read_text().replace("    source: cloudburn", "    origin: cloudburn")
    path = tmp_path / "prices.yaml"
    path.write_text(text)

    with pytest.raises(Refusal, match="source"):
        refusal.read(path, prices.Table)
