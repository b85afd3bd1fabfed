"""Clusters and bare machines of tests, what is played on them, and pods that hold a node busy."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import docker
import testinfra
from testinfra.host import Host

from ci.pipeline import credentials, engine, hosts, lock, node_probe, playbook
from ci.report import silent
from ci.toolchain import provide, supply
from infra import environment, places
from infra.environment import Environment
from tests.system.house import CONFINED, LOCKED

RESTORE_MINUTES = 15
"""Longest that a restore may take."""
PASSING = ("/proc", "/run", "/tmp", "/var/log", "/root/.ansible")
FILES = (
    f"find / -xdev \\( {' -o '.join(f'-path {path}' for path in PASSING)} \\) -prune"
    " -o -type f -printf '%p %s %T@\\n'"
)


@contextmanager
def cluster(name: str) -> Iterator[Environment]:
    """Hosts and cluster of an environment, no platform; gone in the end."""
    found = environment.load(name)
    engine.ensure(silent)
    with lock.hold(name, take=True):
        hosts.down(found, silent)
        try:
            credentials.ensure(found)
            hosts.up(found, hosts.archives(found, silent), silent)
            yield found
        finally:
            hosts.down(found, silent)
            lock.free(name)
            shutil.rmtree(places.data(name), ignore_errors=True)


def kubectl(env: Environment, timeout_s: int = 240) -> Callable[..., str]:
    """kubectl with the administrator's kubeconfig; what it prints. ``text`` is what it reads."""
    entry = provide.find("kubernetes", supply.resolve(env))
    assert entry is not None
    command = [str(entry.file("bin/kubectl"))]
    command += ["--kubeconfig", str(places.state(env.name) / "kubeconfig")]

    def run(*arguments: str, text: str | None = None) -> str:
        done = subprocess.run(
            [*command, *arguments], input=text, capture_output=True, text=True, timeout=timeout_s
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def changes(env: Environment, job: str, *arguments: str, **given: object) -> list[str]:
    """Changes of a playbook's run, sorted: hosts do their part beside each other.

    ``given`` are variables, ``arguments`` are ansible-playbook's.
    """
    extra = ("--extra-vars", json.dumps(given))
    return sorted(playbook.run(env, job, silent, *extra, *arguments).changes)


def host(env: Environment, node: str) -> Host:
    """A node container as testinfra sees it."""
    return testinfra.get_host(f"docker://{node_probe.container_name(env, node)}")


def files(host: Host) -> set[str]:
    """Every file of a machine with its size and time, but for what changes by itself."""
    told = host.run(FILES)
    assert told.rc == 0, told.stderr
    return set(told.stdout.splitlines())


def destroy(env: Environment, *nodes: str) -> None:
    """Remove nodes with their disks."""
    for name in (node_probe.container_name(env, node) for node in nodes):
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)
        volumes = [f"{name}-var", f"{name}-kubernetes"]
        subprocess.run(["docker", "volume", "rm", *volumes], check=True, capture_output=True)


def thrice(play: Callable[..., tuple[int, str]]) -> list[str]:
    """What a rehearsal, a run and a second run say; AssertionError for one that fails."""
    said = []
    for arguments in (["--check", "--diff"], [], []):
        code, words = play(*arguments)
        assert code == 0, words
        said.append(words)
    return said


def named(said: str) -> set[str]:
    """``HOST: ROLE : TASK`` of what a run says it changed, or a rehearsal that a run would.

    Also of what stands in one line.
    """
    found = set()
    for part in re.split(r"(?<!\S)(?:TASK|RUNNING HANDLER) \[", said)[1:]:
        task = part.split("] *")[0]
        hosts = re.findall(r"(?<!\S)changed: \[([^] ]+)", part)
        found |= {f"{host}: {task}" for host in hosts}
    return found


def of(name: str, runs: list[set[str]]) -> Iterator[set[str]]:
    """What of all that runs named is one host's."""
    return ({one for one in run if one.startswith(f"{name}: ")} for run in runs)


def unchanged(said: str) -> dict[str, bool]:
    """Of each host of the recap, whether the run made no change, or a rehearsal named none."""
    lines = said.split("PLAY RECAP")[1].splitlines()[1:]
    return {line.split(" ")[0]: "changed=0 " in line for line in lines if line.strip()}


def fails(check: Callable[..., None], *arguments: object) -> bool:
    """Whether a check notices that nothing has run yet where it looks."""
    try:
        check(*arguments)
    except (AssertionError, ValueError, RuntimeError):
        return True
    return False


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
    """A pod on a node that sleeps longer than any test; its container has the pod's name."""
    container = {
        "name": metadata["name"],
        "image": image,
        "command": ["sleep", "86400"],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"memory": "64Mi"},
        },
        "securityContext": LOCKED,
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": CONFINED,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
