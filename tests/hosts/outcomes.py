"""What each role promises, as a check of one host that fails on a host where it was not run."""

import base64
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host

from ci.toolchain import images, manifest
from infra import places
from infra.environment import Environment

Check = Callable[[Host, Environment, str], None]
CERTS = "/etc/containerd/certs.d"


def said(host: Host, command: str) -> str:
    """What a command prints; AssertionError with its complaint when it fails."""
    done = host.run(command)
    assert done.rc == 0, f"{command}: {done.stderr}"
    return str(done.stdout)


def configured(host: Host, path: str) -> str:
    """Content of a file that must be there, root's, and writable by nobody else."""
    file = host.file(path)
    assert file.exists, path
    assert file.user == "root"
    assert file.mode & 0o022 == 0, oct(file.mode)
    return str(file.content_string)


def began(host: Host, *units: str) -> dict[str, str]:
    """Of units that run, a word that another start changes, and a reload does not."""
    ask = "systemctl show --property InvocationID --value"
    return {unit: said(host, f"{ask} {unit}").strip() for unit in units}


def changed_last(host: Host, unit: str) -> str:
    """When a unit was started, or last reloaded."""
    return said(host, f"systemctl show --property StateChangeTimestampMonotonic --value {unit}")


def write_anew(host: Host, path: str) -> None:
    """A file as a run leaves it that is killed before anything reads what it wrote."""
    said(host, f"cp --preserve {path} {path}.new")
    said(host, f"mv {path}.new {path}")


def kind(env: Environment, node: str) -> str:
    """Kind of a node's pool."""
    pools = {pool.name: pool.kind for pool in env.pools}
    return next(pools[one.pool] for one in env.nodes() if one.name == node)


def containerd(host: Host, env: Environment, node: str, registries: str = CERTS) -> None:
    """Version 2 runs from Debian's unit, and pods' cgroups are systemd's."""
    version = manifest.load().family["containerd"].version
    assert f"v{version}" in said(host, "/usr/local/bin/ctr version").split("Server:")[1]
    service = host.service("containerd.service")
    assert service.is_running
    assert service.is_enabled
    assert "/lib/systemd/system/containerd.service" in said(
        host, "systemctl show --property FragmentPath containerd.service"
    )
    settings = said(host, "/usr/local/bin/containerd config dump")
    assert "SystemdCgroup = true" in settings
    assert "bin_dirs = ['/usr/lib/cni']" in settings
    assert f"config_path = '{registries}'" in settings
    assert "sandbox = 'registry.k8s.io/pause:" in settings


def kubernetes(host: Host, env: Environment, node: str) -> None:
    """The kubelet runs with our configuration, and every image of the node's kind is there."""
    version = f"v{manifest.load().family['kubernetes'].version}"
    assert said(host, "/usr/local/bin/kubelet --version").strip() == f"Kubernetes {version}"
    assert said(host, "/usr/local/bin/kubeadm version --output short").strip() == version
    service = host.service("kubelet.service")
    assert service.is_running
    assert service.is_enabled
    settings = yaml.safe_load(configured(host, "/etc/kubernetes/kubelet.yaml"))
    assert settings["authentication"]["anonymous"]["enabled"] is False
    assert settings["evictionHard"]["nodefs.available"] == "1Gi"
    assert "--config=/etc/kubernetes/kubelet.yaml" in said(
        host, "cat /proc/$(pidof kubelet)/cmdline"
    )
    resolvers = configured(host, "/etc/kubernetes/resolv.conf")
    assert "nameserver" in resolvers
    assert "127.0.0." not in resolvers
    listed = said(host, "/usr/local/bin/ctr --namespace k8s.io images list")
    rows = {row.split()[0]: row for row in listed.splitlines()[1:]}
    for name in images.names():
        archive = images.find(name)
        assert archive is not None, name
        if kind(env, node) in archive.nodes:
            row = rows[f"{archive.repository}@{archive.digest}"]
            assert "io.cri-containerd.pinned=pinned" in row


def registry_trust(host: Host, env: Environment, node: str) -> None:
    """containerd asks the environment's registry, and believes the environment's CA only."""
    folder = f"{CERTS}/registry.modelyard.internal"
    address = f"{env.nodes()[0].address}:{env.node_ports.registry}"
    hosts = configured(host, f"{folder}/hosts.toml")
    assert f'server = "https://{address}"' in hosts
    assert "skip_verify" not in hosts
    own = places.state(env.name) / "credentials" / "ca.crt"
    assert configured(host, f"{folder}/ca.crt").strip() == own.read_text().strip()


def pod_network(host: Host, env: Environment, node: str) -> None:
    """The node has a subnet of its own and a route to the pods of each other node."""
    network = yaml.safe_load(configured(host, "/etc/cni/net.d/10-modelyard.conflist"))
    subnet = network["plugins"][0]["ipam"]["ranges"][0][0]["subnet"]
    routes = said(host, "ip -4 route")
    others = [one for one in env.nodes() if one.name != node]
    for other in others:
        assert f"via {other.address} " in routes
    prefix = env.network.pods.split(".0.0/")[0]
    via = [line for line in routes.splitlines() if line.startswith(f"{prefix}.") and "via" in line]
    assert len(via) == len(others)
    assert not any(line.startswith(subnet) for line in via)
    assert "MASQUERADE" in said(host, "iptables --table nat --list-rules POSTROUTING")
    assert host.service("modelyard-routes.service").is_enabled


SECRETS = """
import json, ssl, urllib.request as web
folder = "/etc/kubernetes/pki/etcd/"
context = ssl.create_default_context(cafile=folder + "ca.crt")
context.load_cert_chain(folder + "healthcheck-client.crt", folder + "healthcheck-client.key")
# In base64: from /registry/secrets/ to /registry/secrets0.
ask = {"key": "L3JlZ2lzdHJ5L3NlY3JldHMv", "range_end": "L3JlZ2lzdHJ5L3NlY3JldHMw"}
url = "https://127.0.0.1:2379/v3/kv/range"
print(web.urlopen(web.Request(url, json.dumps(ask).encode()), context=context).read().decode())
"""
"""Asks etcd for all Secrets as they lie there."""


def joined(host: Host, env: Environment, node: str) -> None:
    """kubeadm's work is whole, and no token is left behind."""
    mark = "modelyard-initialised" if kind(env, node) == "control" else "modelyard-joined"
    assert host.file(f"/etc/kubernetes/{mark}").exists
    assert host.file("/etc/kubernetes/kubelet.conf").exists
    for name in ("join.yaml", "discovery.yaml", "bootstrap-kubelet.conf"):
        assert not host.file(f"/etc/kubernetes/{name}").exists
    healthy = (
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:10248/healthz').read())"
    )
    assert "ok" in said(host, f"python3 -c {shlex.quote(healthy)}")
    if kind(env, node) == "control":
        _guarded(host)


def _guarded(host: Host) -> None:
    """Secrets are encrypted where etcd keeps them, and the API server writes down who did what."""
    written = json.loads(said(host, f"python3 -c {shlex.quote(SECRETS)}"))["kvs"]
    values = [base64.b64decode(one["value"]) for one in written]
    assert values
    assert [value for value in values if not value.startswith(b"k8s:enc:secretbox:v1:")] == []
    assert host.file("/etc/kubernetes/encryption.yaml").mode == 0o600
    last = json.loads(said(host, "tail -n 1 /var/log/kubernetes/audit.log"))
    assert last["kind"] == "Event"
    assert "responseObject" not in last


def kubelet_certificate(host: Host, env: Environment, node: str) -> None:
    """The kubelet serves with a certificate of the cluster's CA, for its own name and address."""
    current = "/var/lib/kubelet/pki/kubelet-server-current.pem"
    said(host, f"openssl verify -CAfile /etc/kubernetes/pki/ca.crt {current}")
    names = said(host, f"openssl x509 -noout -ext subjectAltName -in {current}").splitlines()[-1]
    address = next(one.address for one in env.nodes() if one.name == node)
    assert names.strip() == f"DNS:{node}, IP Address:{address}"


def etcd_tools(host: Host) -> None:
    """Of a control plane alone: the tools have the version of the etcd that they are for."""
    version = manifest.load().family["etcd"].version
    for tool in ("etcdctl", "etcdutl"):
        assert f"{tool} version: {version}" in said(host, f"/usr/local/bin/{tool} version")


def cilium(host: Host, port: int = 8472) -> None:
    """Of a node on Cilium: its agent wrote the network and made the tunnel, and no bridge is."""
    assert host.file("/etc/cni/net.d/05-cilium.conflist").exists
    assert not host.file("/etc/cni/net.d/10-modelyard.conflist").exists
    assert not host.interface("cni0").exists
    assert f"dstport {port} " in said(host, "ip -details link show cilium_vxlan")


CHECKS: dict[str, Check] = {
    "containerd": containerd,
    "kubernetes": kubernetes,
    "registry_trust": registry_trust,
    "pod_network": pod_network,
    "joined": joined,
    "kubelet_certificate": kubelet_certificate,
}


def labels(kubectl: Any, env: Environment, node: str) -> tuple[dict[str, str], list[str]]:
    """Labels of modelyard and the GPU's, and taints as ``key=value:effect``."""
    document = kubectl("get", "node", node)
    found = {
        key: value
        for key, value in document["metadata"].get("labels", {}).items()
        if key.startswith(("modelyard.dev/", "nvidia.com/"))
    }
    taints = [
        f"{one['key']}={one.get('value', '')}:{one['effect']}"
        for one in document["spec"].get("taints", [])
    ]
    return found, taints


TAINTS = {
    "control": ["node-role.kubernetes.io/control-plane=:NoSchedule"],
    "cpu": [],
    "gpu": ["nvidia.com/gpu=present:NoSchedule"],
}


def labelled(kubectl: Any, env: Environment, node: str) -> None:
    """A node says its pool and kind; a GPU's looks like a real one, and keeps others away."""
    found, taints = labels(kubectl, env, node)
    pool = next(one.pool for one in env.nodes() if one.name == node)
    wanted = {"modelyard.dev/pool": pool, "modelyard.dev/kind": kind(env, node)}
    assert {key: found.get(key) for key in wanted} == wanted
    assert (found.get("nvidia.com/gpu.present") == "true") is (kind(env, node) == "gpu")
    assert taints == TAINTS[kind(env, node)]


def ssh_folder(env: Environment) -> Path:
    """Key pair and known hosts of nodes that are reached over SSH."""
    return places.state(env.name) / "ssh"
