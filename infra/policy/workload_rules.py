"""The rules for workloads. Each stands here twice, side by side, as kubectl goes past a preview:
``faults`` reads the inputs of a resource, ``cel`` is what the API server evaluates.

Both give one text per fault. tests/infra/policy holds both to the same cases.
"""

from collections.abc import Callable
from dataclasses import dataclass

from infra.policy import workloads
from infra.policy.workloads import ACCELERATED, ACCELERATORS, BOUNDS, DIGEST, KIND, VOLUMES, Pod


@dataclass(frozen=True, kw_only=True)
class WorkloadRule:
    """A rule for pods and for whatever makes pods."""

    name: str
    says: str
    remedy: str
    faults: Callable[[Pod], list[str]]
    cel: str
    """Over the variables of infra/policy/admission.py; a list of texts."""


def _each(of: str, bad: str, text: str) -> str:
    """A text for each container of the variable ``of`` for which ``bad`` holds."""
    return f"variables.{of}.filter(c, {bad}).map(c, c.name + {text!r})"


def _either(path: str, otherwise: str) -> str:
    """A field of the container's security context, else the pod's, else ``otherwise``."""
    return (
        f"c.?securityContext.?{path}.orValue("
        f"variables.pod.?securityContext.?{path}.orValue({otherwise}))"
    )


RULES = (
    WorkloadRule(
        name="image-by-digest",
        says="Every container names its image by digest: a tag, such as latest, is another image "
        "tomorrow.",
        remedy="Write NAME@sha256:..., as the registry tells it.",
        faults=workloads.images,
        cel=f"variables.all.filter(c, !c.image.matches(r'{DIGEST}'))"
        ".map(c, c.name + ': image ' + c.image)",
    ),
    WorkloadRule(
        name="bounded-resources",
        says="Every container says what it needs of cores and memory, and how much memory it may "
        "use at most.",
        remedy="Set resources.requests.cpu, resources.requests.memory and resources.limits.memory.",
        faults=workloads.bounds,
        cel=" + ".join(
            _each(
                "lasting",
                f"!c.?resources.?{kind}.?{name}.hasValue()",
                f": no resources.{kind}.{name}",
            )
            for kind, name in BOUNDS
        ),
    ),
    WorkloadRule(
        name="probed",
        says="Every container that serves has probes, so that traffic waits for it and a hung one "
        "is restarted.",
        remedy="Give it a readinessProbe and a livenessProbe; what runs to its end says so by "
        "restartPolicy.",
        faults=workloads.probes,
        cel="variables.pod.?restartPolicy.orValue('Always') != 'Always' ? [] : "
        + " + ".join(
            _each("serving", f"!has(c.{probe})", f": no {probe}")
            for probe in ("readinessProbe", "livenessProbe")
        ),
    ),
    WorkloadRule(
        name="confined",
        says="Every pod runs as a numeric user that is not root, gains no rights, and sees nothing "
        "of its node.",
        remedy="Fill securityContext as Pod Security `restricted` asks, with "
        "readOnlyRootFilesystem and runAsUser; mount no hostPath.",
        faults=workloads.confinement,
        cel=" + ".join(
            [
                *(
                    f"(variables.pod.?{key}.orValue(false) ? ['{key} is on'] : [])"
                    for key in ("hostNetwork", "hostPID", "hostIPC")
                ),
                f"variables.pod.?volumes.orValue([]).filter(v, v.exists(k, k != 'name' && "
                f"!(k in {list(VOLUMES)}))).map(v, 'volume ' + v.name + ': of the node')",
                _each("all", "c.?securityContext.?privileged.orValue(false)", ": privileged"),
                _each(
                    "all",
                    "c.?securityContext.?allowPrivilegeEscalation.orValue(true)",
                    ": allowPrivilegeEscalation is not false",
                ),
                _each(
                    "all",
                    "!('ALL' in c.?securityContext.?capabilities.?drop.orValue([]))",
                    ": capabilities.drop is not ALL",
                ),
                _each(
                    "all",
                    "c.?securityContext.?capabilities.?add.orValue([]).size() > 0",
                    ": capabilities are added",
                ),
                _each("all", "!" + _either("runAsNonRoot", "false"), ": runAsNonRoot is not true"),
                _each(
                    "all",
                    _either("runAsUser", "0") + " <= 0",
                    ": runAsUser is not a number over 0",
                ),
                _each(
                    "all",
                    "!("
                    + _either("seccompProfile.?type", "''")
                    + " in ['RuntimeDefault', 'Localhost'])",
                    ": no seccompProfile",
                ),
                _each(
                    "all",
                    "c.?ports.orValue([]).exists(p, p.?hostPort.orValue(0) > 0)",
                    ": hostPort",
                ),
                _each(
                    "lasting",
                    "!c.?securityContext.?readOnlyRootFilesystem.orValue(false)",
                    ": readOnlyRootFilesystem is not true",
                ),
            ]
        ),
    ),
    WorkloadRule(
        name="gpus-in-gpu-pools",
        says="Only pods that select a pool of accelerators ask for GPUs or Neuron cores.",
        remedy=f"Select the pool's nodes: nodeSelector {KIND}: {' or '.join(ACCELERATED)}.",
        faults=workloads.gpus,
        cel=f"variables.pod.?nodeSelector[?'{KIND}'].orValue('') in {list(ACCELERATED)} ? [] : "
        + " + ".join(
            f"variables.lasting.map(c, c.?resources.?{bound}.orValue({{}})"
            f".filter(k, k.matches(r'{ACCELERATORS}')).map(k, c.name + ': asks for ' + k))"
            ".filter(l, l.size() > 0).map(l, l.join(', '))"
            for bound in ("limits", "requests")
        ),
    ),
)
