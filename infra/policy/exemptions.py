"""Who may break which rule, why, and until when. The list is data: exemptions.yaml beside this."""

import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, RootModel

from infra import refusal
from infra.names import DnsLabel
from infra.policy.inputs import UNKNOWN, at

FILE = Path(__file__).parent / "exemptions.yaml"


class Place(BaseModel, extra="forbid", frozen=True):
    """Objects of a component: their namespace, and their label ``app.kubernetes.io/name``."""

    namespace: DnsLabel
    name: DnsLabel


class Resource(BaseModel, extra="forbid", frozen=True):
    """One resource of an account, by its name in the program."""

    resource: Annotated[str, Field(min_length=1)]


class Exemption(BaseModel, extra="forbid", frozen=True):
    """What one rule spares until a day, that day included."""

    rule: DnsLabel
    where: Place | Resource
    reason: Annotated[str, Field(min_length=20)]
    until: datetime.date

    def over(self, today: datetime.date) -> bool:
        """Whether its end has passed."""
        return today > self.until

    def covers(self, rule: str, name: str, inputs: dict[str, Any]) -> bool:
        """Whether it is about this rule and resource. An unknown namespace may be the right one."""
        if isinstance(self.where, Resource):
            return (self.rule, self.where.resource) == (rule, name)
        namespace = at(inputs, "metadata", "namespace")
        return (
            self.rule == rule
            and at(inputs, "metadata", "labels", "app.kubernetes.io/name") == self.where.name
            and namespace in (self.where.namespace, UNKNOWN)
        )


class _List(RootModel[list[Exemption]]):
    pass


def load(path: Path = FILE) -> list[Exemption]:
    """All exemptions; Refusal where one lacks its reason, its end or a known rule's form."""
    return refusal.read(path, _List).root
