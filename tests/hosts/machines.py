"""Bare machines beside the nodes of environment `test`, and pods that hold a node busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import testinfra
from testinfra.host import Host

from ci.pipeline import engine, node_probe
from infra.environment import Environment


@contextmanager
def bare(client: docker.DockerClient, env: Environment, name: str, **more: Any) -> Iterator[Host]:
    """A node container on which no role but node_container ever ran; ``more`` is docker's.

    It has no network unless ``network_mode`` gives it one.
    """
    sample = client.containers.get(node_probe.container_name(env, "gpu-1"))
    settings = sample.attrs["HostConfig"]
    made = client.containers.run(
        sample.attrs["Config"]["Image"],
        name=name,
        hostname=name,
        detach=True,
        cap_add=settings["CapAdd"],
        cap_drop=settings["CapDrop"],
        security_opt=settings["SecurityOpt"],
        device_cgroup_rules=settings["DeviceCgroupRules"],
        cgroupns=settings["CgroupnsMode"],
        tmpfs=settings["Tmpfs"],
        labels={engine.LABEL: env.name},
        **({"network_mode": "none"} | more),
    )
    try:
        host = testinfra.get_host(f"docker://{name}")
        host.run("systemctl is-system-running --wait")
        yield host
    finally:
        made.remove(force=True, v=True)


def sleeper(node: str, metadata: dict[str, Any], image: str) -> dict[str, Any]:
    """A pod on a node that sleeps for ten minutes; its container has the pod's name."""
    container = {
        "name": metadata["name"],
        "image": image,
        "command": ["sleep", "600"],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
