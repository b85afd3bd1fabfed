"""Constrained types, named once: what a name, a port, a network may be."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints


class Closed(BaseModel, extra="forbid", frozen=True):
    """A part of a model: no unknown keys, no changes after load."""


def _network(value: str) -> str:
    ipaddress.ip_network(value)  # raises ValueError with the reason: host bits set, not a network
    return value


DnsLabel = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""RFC 1035 label: what Kubernetes takes as the name of a Service or namespace."""

Cidr = Annotated[str, AfterValidator(_network)]
"""An IPv4 or IPv6 network, host bits zero."""

TaintText = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9./-]+=[A-Za-z0-9._-]*:(NoSchedule|PreferNoSchedule|NoExecute)$"
    ),
]
"""A taint of a node: ``key=value:effect``."""


def taint(text: str) -> tuple[str, str, str]:
    """Key, value and effect of a TaintText."""
    mark, _, effect = text.rpartition(":")
    key, _, value = mark.partition("=")
    return key, value, effect


Port = Annotated[int, Field(ge=1, le=65535)]
NodePort = Annotated[int, Field(ge=30000, le=32767)]

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""Content digest of an OCI manifest."""

Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
"""A model's version: three numbers."""
