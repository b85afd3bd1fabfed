"""What a team's own gateway must be, for our routes to be served by it: Traefik v3 with its CRDs.

Data in, faults out: nothing here asks anybody.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.platform import spaces
from infra.refusal import Fault

if TYPE_CHECKING:
    from infra.contract import Described

KINDS = ("ingressroutes", "middlewares", "serverstransports", "traefikservices")
"""Of traefik.io: what our routes are made of. Argo Rollouts writes weights into the last."""

PROVIDER = "providers.kubernetescrd"
NEEDED = {
    "allowcrossnamespace": "a model's route names middlewares that all models share",
    "allowemptyservices": "a model without a ready pod would lose its route",
}
WITHOUT = "remove gateway from existing: the platform then installs Traefik"


@dataclass(frozen=True, kw_only=True)
class GatewayPod:
    """A running pod of a gateway, and the arguments of its containers."""

    name: str
    arguments: tuple[str, ...]

    def flags(self) -> dict[str, str]:
        """Settings by their names in small letters; {} where Traefik has them from elsewhere."""
        found: dict[str, str] = {}
        last = ""
        for argument in self.arguments:
            if argument.startswith("--"):
                last, _, value = argument.removeprefix("--").partition("=")
                last = last.lower()
                found[last] = value or "true"
            elif last:
                found[last] = argument
        # It takes them from one place alone: a file, arguments or variables.
        return found if any(name.startswith(PROVIDER) for name in found) else {}


def faults(told: "Described") -> Iterator[Fault]:
    """What is wrong with the description by itself."""
    gateway = told.gateway
    if "gateway" not in told.existing:
        for key in sorted(gateway.model_fields_set - {"url", "port", "node_port"}):
            rule = "it is of a team's own gateway, and existing names none"
            remedy = f"Remove gateway.{key}, or add gateway to existing."
            yield f"gateway.{key}", getattr(gateway, key), rule, remedy
        return
    if gateway.kind != "traefik":
        rule = "routes are Traefik's (v3), into which Argo Rollouts writes how requests are split"
        yield "gateway.kind", gateway.kind, rule, f"Write traefik, or {WITHOUT}."
    if gateway.namespace == spaces.GATEWAY:
        rule = "the platform makes a namespace of that name, for its doorkeeper"
        remedy = "Let the team's run in another, and name that."
        yield "gateway.namespace", gateway.namespace, rule, remedy
    if not gateway.labels:
        rule = "by its labels NetworkPolicies let it speak to models"
        yield "gateway.labels", gateway.labels, rule, "Write the labels that its pods have."
    if not gateway.cross_namespace:
        rule = NEEDED["allowcrossnamespace"]
        remedy = f"Run it with --{PROVIDER}.allowcrossnamespace=true, and write true."
        yield "gateway.cross_namespace", False, rule, remedy
    if gateway.ca is not None and not gateway.ca.expanduser().is_absolute():
        rule = "it is read from anywhere"
        yield "gateway.ca", str(gateway.ca), rule, "Write a path that begins with / or ~."


def broken(
    told: "Described", pods: Collection[GatewayPod], owners: Collection[str]
) -> Iterator[Fault]:
    """What the cluster does not keep of it; ``owners``: what there is, as ``kind name``."""
    if "gateway" not in told.existing:
        return
    gateway = told.gateway
    absent = [one for one in KINDS if f"CustomResourceDefinition {one}.traefik.io" not in owners]
    if absent:
        rule = f"the cluster has no definition of {', '.join(absent)} in traefik.io"
        yield "existing", "gateway", rule, f"Give it the definitions of Traefik v3, or {WITHOUT}."
    if f"Namespace {gateway.namespace}" not in owners:
        rule = "the cluster has no such namespace"
        yield "gateway.namespace", gateway.namespace, rule, "Name the one that the team's is in."
    elif not pods:
        rule = f"no pod of {gateway.namespace} that runs has these labels"
        yield "gateway.labels", gateway.labels, rule, "Write the labels that its pods have."
    for pod in pods:
        yield from _settings(told, pod)


def _settings(told: "Described", pod: GatewayPod) -> Iterator[Fault]:
    """Of a pod whose arguments tell; one that reads a file is believed."""
    flags = pod.flags()
    if not flags:
        return
    entry = f"entrypoints.{told.gateway.entry_point}".lower()
    if not any(name == entry or name.startswith(f"{entry}.") for name in flags):
        have = sorted({name.split(".")[1] for name in flags if name.startswith("entrypoints.")})
        rule = f"{pod.name} has no such entry point; it has: {', '.join(have) or 'none'}"
        remedy = "Name the one that takes TLS from clients."
        yield "gateway.entry_point", told.gateway.entry_point, rule, remedy
    for name, why in NEEDED.items():
        if flags.get(f"{PROVIDER}.{name}", "false").lower() != "true":
            rule = f"{pod.name} runs without --{PROVIDER}.{name}=true, and {why}"
            yield "existing", "gateway", rule, "Set it."
    for name in ("ingressclass", "labelselector"):
        if chosen := flags.get(f"{PROVIDER}.{name}"):
            rule = f"{pod.name} reads only routes of {name} {chosen!r}, which ours have not"
            yield "existing", "gateway", rule, f"Run it without --{PROVIDER}.{name}."
    watched = flags.get(f"{PROVIDER}.namespaces")
    unseen = {spaces.GATEWAY, spaces.MODELS} - {*(watched or "").split(",")}
    if watched and unseen:
        rule = f"{pod.name} reads no routes in {', '.join(sorted(unseen))}"
        yield "existing", "gateway", rule, f"Add them to --{PROVIDER}.namespaces."
