"""Pods that a rule refuses or allows: the same ones for the policy pack and for the API server."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Pod = dict[str, Any]

IMAGE = "registry.test/app@sha256:" + "a" * 64
PROBE = {"httpGet": {"path": "/", "port": 8080}}
GOOD: Pod = {
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [
        {
            "name": "main",
            "image": IMAGE,
            "resources": {
                "requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"memory": "32Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "readinessProbe": PROBE,
            "livenessProbe": PROBE,
        }
    ],
    "volumes": [{"name": "scratch", "emptyDir": {}}],
}


def main(pod: Pod) -> dict[str, Any]:
    """The pod's only serving container."""
    found: dict[str, Any] = pod["containers"][0]
    return found


def initial(pod: Pod, **fields: Any) -> None:
    """Give the pod an init container: the serving one without probes, and with other fields."""
    kept = {key: value for key, value in main(pod).items() if "Probe" not in key}
    pod["initContainers"] = [copy.deepcopy(kept) | {"name": "first"} | fields]


def gpus(pod: Pod, resource: str = "nvidia.com/gpu", *, pool: str | None = None) -> None:
    """Ask for one device, on the nodes of a pool's kind."""
    for bound in ("requests", "limits"):
        main(pod)["resources"][bound][resource] = "1"
    if pool:
        pod["nodeSelector"] = {"modelyard.dev/kind": pool}


@dataclass(frozen=True)
class Case:
    """One change to the good pod, and the rule that it is about."""

    rule: str
    says: str
    change: Callable[[Pod], object]

    def pod(self) -> Pod:
        """The changed pod."""
        pod = copy.deepcopy(GOOD)
        self.change(pod)
        return pod

    def __str__(self) -> str:
        return f"{self.rule}: {self.says}"


def _security(**fields: Any) -> Callable[[Pod], object]:
    return lambda pod: main(pod)["securityContext"].update(fields)


def _whole(**fields: Any) -> Callable[[Pod], object]:
    return lambda pod: pod["securityContext"].update(fields)


def _without_bound(bound: str, resource: str) -> Callable[[Pod], object]:
    return lambda pod: main(pod)["resources"][bound].pop(resource)


REFUSED = [
    Case("image-by-digest", "latest", lambda pod: main(pod).update(image="app:latest")),
    Case("image-by-digest", "a tag", lambda pod: main(pod).update(image="registry.test/app:1.2.3")),
    Case("image-by-digest", "no tag at all", lambda pod: main(pod).update(image="app")),
    Case(
        "image-by-digest",
        "a digest that is cut short",
        lambda pod: main(pod).update(image="app@sha256:" + "a" * 63),
    ),
    Case("image-by-digest", "an init container", lambda pod: initial(pod, image="app:1")),
    Case("bounded-resources", "no resources", lambda pod: main(pod).pop("resources")),
    Case("bounded-resources", "no memory limit", _without_bound("limits", "memory")),
    Case("bounded-resources", "no request for cores", _without_bound("requests", "cpu")),
    Case("bounded-resources", "an init container", lambda pod: initial(pod, resources={})),
    Case("probed", "no readiness probe", lambda pod: main(pod).pop("readinessProbe")),
    Case("probed", "no liveness probe", lambda pod: main(pod).pop("livenessProbe")),
    Case("confined", "privileged", _security(privileged=True, allowPrivilegeEscalation=True)),
    Case("confined", "rights may grow", _security(allowPrivilegeEscalation=True)),
    Case("confined", "no word on rights", lambda pod: main(pod).pop("securityContext")),
    Case("confined", "capabilities are kept", _security(capabilities={"drop": ["NET_RAW"]})),
    Case(
        "confined",
        "a capability is added",
        _security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    ),
    Case("confined", "a writable root", _security(readOnlyRootFilesystem=False)),
    Case("confined", "root", _whole(runAsUser=0, runAsNonRoot=False)),
    Case("confined", "one container is root", _security(runAsUser=0, runAsNonRoot=False)),
    Case("confined", "no user", lambda pod: pod["securityContext"].pop("runAsUser")),
    Case("confined", "no seccomp", lambda pod: pod["securityContext"].pop("seccompProfile")),
    Case("confined", "seccomp switched off", _security(seccompProfile={"type": "Unconfined"})),
    Case("confined", "the host's network", lambda pod: pod.update(hostNetwork=True)),
    Case("confined", "the host's processes", lambda pod: pod.update(hostPID=True)),
    Case("confined", "the host's memory", lambda pod: pod.update(hostIPC=True)),
    Case(
        "confined",
        "a folder of the node",
        lambda pod: pod.update(volumes=[{"name": "etc", "hostPath": {"path": "/etc"}}]),
    ),
    Case(
        "confined",
        "a port of the node",
        lambda pod: main(pod).update(ports=[{"containerPort": 80, "hostPort": 80}]),
    ),
    Case("confined", "an init container", lambda pod: initial(pod, securityContext={})),
    Case("gpus-in-gpu-pools", "a GPU anywhere", gpus),
    Case("gpus-in-gpu-pools", "a GPU in a pool of cores", lambda pod: gpus(pod, pool="cpu")),
    Case("gpus-in-gpu-pools", "a slice anywhere", lambda pod: gpus(pod, "nvidia.com/mig-1g.10gb")),
    Case("gpus-in-gpu-pools", "a Neuron core", lambda pod: gpus(pod, "aws.amazon.com/neuroncore")),
]

ALLOWED = [
    Case("image-by-digest", "a digest", lambda pod: None),
    Case(
        "image-by-digest",
        "a tag beside the digest",
        lambda pod: main(pod).update(image="app:1@sha256:" + "b" * 64),
    ),
    Case(
        "bounded-resources",
        "a limit on cores, too",
        lambda pod: main(pod)["resources"]["limits"].update(cpu="1"),
    ),
    Case(
        "probed",
        "what runs to its end",
        lambda pod: (
            main(pod).pop("readinessProbe"),
            main(pod).pop("livenessProbe"),
            pod.update(restartPolicy="Never"),
        ),
    ),
    Case("probed", "an init container", initial),
    Case("confined", "the user named by the container", _security(runAsUser=1000)),
    Case(
        "confined",
        "another seccomp profile",
        _whole(seccompProfile={"type": "Localhost", "localhostProfile": "p.json"}),
    ),
    Case(
        "confined",
        "a Secret as volume",
        lambda pod: pod.update(volumes=[{"name": "s", "secret": {"secretName": "s"}}]),
    ),
    Case("gpus-in-gpu-pools", "a GPU in a GPU pool", lambda pod: gpus(pod, pool="gpu")),
    Case(
        "gpus-in-gpu-pools",
        "a Neuron core in its pool",
        lambda pod: gpus(pod, "aws.amazon.com/neuron", pool="neuron"),
    ),
    Case("gpus-in-gpu-pools", "no GPU in a GPU pool", lambda pod: pod.update(nodeSelector={})),
]
