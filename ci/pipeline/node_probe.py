"""Ask every node container how it is: units, the kubelet's health, and a digest of its settings."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import docker
from docker.errors import APIError, NotFound

from ci.pipeline import engine, ports
from infra.environment import Environment
from infra.refusal import Refusal

PATIENCE_S = 60
UNITS = ("containerd.service", "kubelet.service")
ROUTES = "modelyard-routes.service"
"""Runs on every node whose pods hang on the bridge."""
BALANCER = "modelyard-api-balancer.service"
"""Runs on every node of a cluster with several control planes."""
CERTIFICATE = "/var/lib/kubelet/pki/kubelet-server-current.pem"
RENEW_S = 30 * 24 * 3600
"""Kubelets ask for a new certificate long before; Ansible has to approve it."""

# What the roles write on a node. Kubernetes' own files change by themselves and are not among it.
SETTINGS = (
    "/etc/containerd /etc/cni/net.d /etc/systemd/system /etc/sysctl.d /etc/kubernetes/kubelet.yaml"
    " /etc/kubernetes/resolv.conf /etc/modelyard /usr/local/bin /usr/local/sbin"
)
# A link counts by its target, a file by its content: the binaries are links on most nodes.
_SCRIPT = f"""
set -eu
for unit in "$@"; do
    systemctl is-active --quiet "$unit" || {{ echo "$unit does not run" >&2; exit 1; }}
done
openssl x509 -noout -checkend {RENEW_S} -in {CERTIFICATE} > /dev/null
python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:10248/healthz", timeout=5)'
{{ find {SETTINGS} -type l -printf '%p %l\\n' | sort
   find {SETTINGS} -type f -print0 | sort -z | xargs -0 sha256sum; }} | sha256sum
"""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the nodes said; one that is not as it should be has a fault, no fingerprint."""

    fingerprints: dict[str, str]
    faults: dict[str, str]

    @property
    def healthy(self) -> bool:
        """Whether no node has a fault."""
        return not self.faults


def container_name(env: Environment, node: str) -> str:
    """Name and hostname of a node's container."""
    return f"modelyard-{env.name}-{node}"


def running(env: Environment) -> list[str]:
    """Containers of the environment that run now."""
    label: dict[str, str | list[str] | bool] = {"label": f"{engine.LABEL}={env.name}"}
    connection = engine.client()
    try:
        return [str(one.name) for one in connection.containers.list(filters=label)]
    finally:
        connection.close()


def probe(env: Environment) -> Probe:
    """Ask all nodes at once. An engine that does not answer is a fault of every node."""
    names = [node.name for node in env.nodes()]
    try:
        connection = engine.client()
    except Refusal as refused:
        return Probe(fingerprints={}, faults=dict.fromkeys(names, refused.rule))
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            answers = pool.map(lambda name: _ask(connection, env, name), names)
            said = dict(zip(names, answers, strict=True))
    finally:
        connection.close()
    return Probe(
        fingerprints={name: text for name, (good, text) in said.items() if good},
        faults={name: text for name, (good, text) in said.items() if not good},
    )


def units(env: Environment) -> tuple[str, ...]:
    """Units that run on every node."""
    controls = sum(pool.nodes for pool in env.pools if pool.kind == "control")
    routes = (ROUTES,) if env.engine == "bridge" else ()
    balancer = (BALANCER,) if controls > 1 else ()
    return (*UNITS, *routes, *balancer)


def _ask(connection: docker.DockerClient, env: Environment, node: str) -> tuple[bool, str]:
    name = container_name(env, node)
    try:
        container = connection.containers.get(name)
    except NotFound:
        return False, "it has no container"
    except APIError as error:
        return False, f"the engine says: {error.explanation}"
    if container.status != "running":
        return False, f"its container is {container.status}"
    if lost := ports.lost(container):
        return False, f"nobody forwards {', '.join(map(str, sorted(lost)))} to its container"
    # The client program: the library's exec loses output on a busy machine (it reads the raw socket
    # and leaves what came together with the headers in a buffer).
    command = ["docker", "exec", name, "sh", "-c", _SCRIPT, "probe", *units(env)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode:
        return False, done.stderr.strip() or f"asking it ends with {done.returncode}"
    return True, f"{container.id} {done.stdout.split()[0]}"
