from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from infra import names


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (names.DnsLabel, "a"),
        (names.DnsLabel, "a" * 63),
        (names.DnsLabel, "cpu-1"),
        (names.Cidr, "10.0.0.0/8"),
        (names.Cidr, "fd00::/64"),
        (names.Port, 1),
        (names.Port, 65535),
        (names.NodePort, 30000),
        (names.NodePort, 32767),
        (names.Digest, "sha256:" + "0" * 64),
        (names.Version, "1.20.300"),
    ],
)
def test_a_value_inside_the_rule_is_taken(kind: Any, value: object) -> None:
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (names.DnsLabel, ""),
        (names.DnsLabel, "a" * 64),
        (names.DnsLabel, "1a"),
        (names.DnsLabel, "a-"),
        (names.DnsLabel, "A"),
        (names.DnsLabel, "a.b"),
        (names.DnsLabel, "a\n"),
        (names.Cidr, "10.0.0.1/8"),
        (names.Cidr, "10.0.0.0/33"),
        (names.Cidr, "here"),
        (names.Port, 0),
        (names.Port, 65536),
        (names.NodePort, 29999),
        (names.NodePort, 32768),
        (names.Digest, "sha256:" + "0" * 63),
        (names.Digest, "sha256:" + "G" * 64),
        (names.Digest, "md5:" + "0" * 64),
        (names.Version, "1.2"),
        (names.Version, "v1.2.3"),
        (names.Version, "1.2.3-rc1"),
    ],
)
def test_a_value_outside_the_rule_is_refused(kind: Any, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)
