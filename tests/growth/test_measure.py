"""The benchmark of growth does what it says, with a few services instead of three hundred."""

import pytest

from ci.pipeline import cluster
from infra import contract
from tests.growth import ground, measure


@pytest.mark.growth
def test_services_come_to_run_on_nodes_that_are_only_objects_and_every_figure_is_there() -> None:
    with ground.own() as env:
        measurement = measure.Measurement(env, rounds=1, real=None)
        found = {size: measurement.at(size) for size in (2, 3)}
        pods = cluster.pods(contract.load(env), "modelyard.dev/model")

    assert {pod.metadata.labels["modelyard.dev/model"] for pod in pods} == {
        "growth-000",
        "growth-001",
        "growth-002",
    }
    assert all(pod.spec.node_name.startswith(ground.PREFIX) for pod in pods)
    said = list(measure.table(found))
    assert said[-2].startswith("ship: ")
    assert said[-1].startswith("preview: ")


def test_the_table_compares_the_larger_number_with_the_smaller() -> None:
    few = {"first up of 3": 9.0, "ship one": 10.0}
    many = {"first up of 297": 90.0, "ship one": 11.0}
    for figures in (few, many):
        figures |= {"preview, no change": 1.0, "preview, one change": 4.0}

    said = "\n".join(measure.table({3: few, 300: many}))

    assert "ship: 1.10 times, at most 1.2" in said
    assert "preview: 4.0 s, at most 20 s" in said
