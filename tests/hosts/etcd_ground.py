"""Two bare machines for an etcd without a cluster: keys as kubeadm makes them, and its real data.

They belong to the environment `onprem`, with a state folder of the test's own.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host

from ci.toolchain import manifest, provide, store
from tests.hosts import onprem, outcomes

ADDRESSES = {"control-1": "172.29.74.11", "control-2": "172.29.74.12"}
FIRST, SECOND = ADDRESSES
PKI = "/etc/kubernetes/pki"
CLIENT = (
    "ETCDCTL_ENDPOINTS=https://127.0.0.1:2379"
    f" ETCDCTL_CACERT={PKI}/etcd/ca.crt ETCDCTL_CERT={PKI}/etcd/healthcheck-client.crt"
    f" ETCDCTL_KEY={PKI}/etcd/healthcheck-client.key /usr/local/bin/etcdctl"
)
KEY, VALUE = "/registry/configmaps/default/kept", "before the backup"
SEALING = "/etc/kubernetes/encryption.yaml"
ROLES = ("etcd_tools", "backup", "etcd_restore")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The machines and a folder for their inventory and backups."""

    folder: Path

    def host(self, name: str) -> Host:
        """A machine as testinfra sees it."""
        return onprem.host(name)

    def play(self, role: str, *arguments: str, **inputs: Any) -> tuple[int, str]:
        """Run a role on both with further inputs; exit code and all that it says."""
        more = ("--extra-vars", json.dumps(inputs))
        done = onprem.play(self.folder, self.folder / f"{role}.yml", *more, *arguments)
        return done.returncode, done.stdout + done.stderr


def inventory() -> dict[str, Any]:
    """Both machines see this machine's tools; the second gets copies of them all the same."""
    entry = provide.find("etcd")
    assert entry is not None, "etcd was never built. Run `.venv/bin/yard up test`."
    versions = {name: manifest.load().family[name].version for name in ("etcd", "kubernetes")}
    found = {
        name: {
            "ansible_connection": "docker",
            "ansible_host": onprem.container(name),
            "node_address": address,
            "node_container_name": onprem.container(name),
            "node_container_subnet": "172.29.74.0/24",
            "node_container_tools": str(store.root()),
            "node_container_ports": [],
            "etcd_tools_version": entry.version,
            "etcd_tools_binaries": {
                tool: str(entry.file(f"bin/{tool}")) for tool in ("etcdctl", "etcdutl")
            },
            "etcd_tools_mounted": name == FIRST,
            "backup_control_plane": FIRST,
            "backup_versions": versions,
            "etcd_restore_address": address,
        }
        for name, address in ADDRESSES.items()
    }
    return {"all": {"children": {"containers": {"hosts": found}}}}


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Bare machines, taken away at the end."""
    for role in ROLES:
        play = {"name": "Keep", "hosts": "containers", "gather_facts": False, "become": True}
        text = yaml.safe_dump([play | {"roles": [{"role": role}]}])
        (folder / f"{role}.yml").write_text(text)
    with onprem.machines(folder, inventory(), {"binaries": {}}):
        yield Ground(folder=folder)


def certify(host: Host, name: str) -> None:
    """Have kubeadm make the keys and certificates that are not there yet."""
    entry = provide.find("kubernetes")
    assert entry is not None, "kubernetes was never built. Run `.venv/bin/yard up test`."
    version = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration"}
    version |= {"kubernetesVersion": f"v{entry.version}"}
    itself = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration"}
    where: dict[str, Any] = {"localAPIEndpoint": {"advertiseAddress": ADDRESSES[name]}}
    where |= {"nodeRegistration": {"name": name}}
    text = yaml.safe_dump_all([version, itself | where])
    told = host.run("printf %%s %s > /srv/kubeadm.yaml", text)
    assert told.rc == 0, told.stderr
    outcomes.said(
        host, f"{entry.file('bin/kubeadm')} init phase certs all --config /srv/kubeadm.yaml"
    )


def start(host: Host, name: str) -> None:
    """Start etcd over the data in /var/lib/etcd, as kubeadm's static pod would."""
    entry = provide.find("etcd")
    assert entry is not None
    peer = f"https://{ADDRESSES[name]}:2380"
    flags = {
        "name": name,
        "data-dir": "/var/lib/etcd",
        "listen-client-urls": "https://127.0.0.1:2379",
        "advertise-client-urls": "https://127.0.0.1:2379",
        "cert-file": f"{PKI}/etcd/server.crt",
        "key-file": f"{PKI}/etcd/server.key",
        "client-cert-auth": "true",
        "trusted-ca-file": f"{PKI}/etcd/ca.crt",
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{name}={peer}",
        "peer-cert-file": f"{PKI}/etcd/peer.crt",
        "peer-key-file": f"{PKI}/etcd/peer.key",
        "peer-trusted-ca-file": f"{PKI}/etcd/ca.crt",
        "peer-client-cert-auth": "true",
    }
    words = " ".join(f"--{flag}={value}" for flag, value in flags.items())
    unit = "--unit=etcd --property=Type=notify --collect"
    outcomes.said(host, f"systemd-run {unit} {entry.file('bin/etcd')} {words}")


def stop(host: Host) -> None:
    """End it."""
    outcomes.said(host, "systemctl stop etcd.service")


def read(host: Host) -> tuple[str, int]:
    """What etcd holds under KEY, and its revision."""
    value = outcomes.said(host, f"{CLIENT} get --print-value-only {KEY}").strip()
    status = json.loads(outcomes.said(host, f"{CLIENT} endpoint status --write-out=json"))
    return value, status[0]["Status"]["header"]["revision"]
