"""What is refused when something has to be fetched and nobody answers."""

import pytest

from ci.pipeline import supplies
from ci.toolchain import doctor, network
from ci.toolchain.doctor import Finding
from infra import environment
from infra.refusal import Refusal


def test_the_refusal_lists_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Finding(name="etcd", version="", source="", state="missing"),
        Finding(name="pulumi", version="", source="", state="ok"),
        Finding(name="image modelyard/registry", version="", source="", state="damaged"),
    ]
    monkeypatch.setattr(doctor, "inspect", lambda _: found)

    with pytest.raises(Refusal) as refused, supplies.needed(environment.load("test")):
        network.check("Go modules of etcd", "no such host")

    assert refused.value.where == "network"
    assert "etcd, image modelyard/registry" in refused.value.rule
    assert "pulumi" not in refused.value.rule
    assert "mirrors" in refused.value.remedy
