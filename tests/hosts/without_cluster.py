"""Two bare machines for roles that need no cluster: defaults on one, other inputs on the other.

They belong to the environment `onprem`, with a state folder of the test's own. Each check is what
a role promises of one of them.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host

from ci.toolchain import images, manifest, provide, store
from infra import environment, places
from tests.hosts import edge_checks, edge_ground, onprem, outcomes

ADDRESSES = {"default": "172.29.73.11", "alternative": "172.29.73.12"}
OTHER = {"default": "alternative", "alternative": "default"}
ROLES = (
    *("containerd", "pod_network", "etcd_tools"),
    *("api_balancer", "registry_mirror", "registry_trust"),
)
SUBNETS = {"default": "10.246.1.0/24", "alternative": "10.246.2.0/24"}
BRIDGES = {"default": "cni0", "alternative": "cni7"}
BALANCED = {"default": 7443, "alternative": 7500}
MIRRORS = {"default": (5000, 5001), "alternative": (5500, 5501)}
MIRRORED = {"default": "/var/lib/modelyard-mirror", "alternative": "/srv/images"}
REGISTRY = {"default": "registry.modelyard.internal", "alternative": "registry.example.internal"}
TRUSTED = {"default": outcomes.CERTS, "alternative": "/etc/containerd/trusted"}
BALANCER = "modelyard-api-balancer.service"
READ = {
    "containerd.service": ["/etc/containerd/config.toml", "/etc/cni/net.d/10-modelyard.conflist"],
    "modelyard-routes.service": ["/usr/local/sbin/modelyard-routes"],
    BALANCER: [f"/etc/systemd/system/{BALANCER}"],
    "modelyard-mirror.service": ["/etc/modelyard-mirror/serve.yml"],
    "modelyard-mirror-intake.service": ["/etc/modelyard-mirror/tls.crt"],
}
"""Units, and files that they read when they start."""
NOBODY = "172.29.73.99"
"""An address of the network that no machine has."""
PUBLISHED = 45731
API = 6443
READY = """
import http.server, ssl
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"simulated")
server = http.server.ThreadingHTTPServer(("0.0.0.0", 6443), Ready)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/ready.crt", "/srv/ready.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
"""What answers in an API server's place when it is asked whether it is ready."""
ASK = """
import ssl, sys, urllib.request as web
asked = web.Request(sys.argv[1])
if len(sys.argv) > 2:
    asked.add_header("Authorization", "Basic " + sys.argv[2])
try:
    answer = web.urlopen(asked, context=ssl._create_unverified_context(), timeout=9)
    print(answer.status, answer.read().decode())
except web.HTTPError as error:
    print(error.code)
"""
# What the alternative says otherwise, or the default leaves to the roles.
ALTERNATIVE: dict[str, Any] = {
    "node_container_tools": "",
    "node_container_ssh_user": "ops",
    "node_container_ports": [f"127.0.0.1:{PUBLISHED}:{API}"],
    "containerd_mounted": False,
    "containerd_registry_folder": TRUSTED["alternative"],
    "containerd_runtimes": {"nvidia": "/usr/bin/nvidia-container-runtime"},
    "containerd_default_runtime": "nvidia",
    "pod_network_bridge": BRIDGES["alternative"],
    "etcd_tools_mounted": False,
    # Of the two one answers.
    "api_balancer_servers": [
        {"name": "nobody", "address": NOBODY},
        {"name": "default", "address": ADDRESSES["default"]},
    ],
    "api_balancer_port": BALANCED["alternative"],
    "api_balancer_interval": 1,
    "registry_mirror_port": MIRRORS["alternative"][0],
    "registry_mirror_intake_port": MIRRORS["alternative"][1],
    "registry_mirror_folder": MIRRORED["alternative"],
    "registry_trust_endpoint": f"https://{NOBODY}:{MIRRORS['default'][0]}",
    "registry_trust_mirrors": [
        f"https://{ADDRESSES['alternative']}:{MIRRORS['alternative'][0]}",
    ],
    "registry_trust_name": REGISTRY["alternative"],
    "registry_trust_folder": TRUSTED["alternative"],
}

CONFIGURED = {*ROLES} - {"etcd_tools"}
OTHER_INPUTS = {
    "containerd_pause_image": "registry.k8s.io/pause:3.9",
    "pod_network_bridge": "cni9",
    "api_balancer_interval": 3,
    "registry_mirror_intake_port": 5801,
    "registry_trust_name": "registry.other.internal",
}
"""A change of each of these roles that have settings."""


def inventory() -> dict[str, Any]:
    """Machines that this machine makes itself, with the inputs of their roles."""
    found = {name: _inputs(name) for name in ADDRESSES}
    found["alternative"] |= ALTERNATIVE
    return {"all": {"children": {"containers": {"hosts": found}}}}


def _inputs(name: str) -> dict[str, Any]:
    own: dict[str, Any] = {
        "ansible_connection": "docker",
        "ansible_host": onprem.container(name),
        "node_address": ADDRESSES[name],
        "node_container_name": onprem.container(name),
        "node_container_subnet": "172.29.73.0/24",
        "node_container_tools": str(store.root()),
        "node_container_ports": [],
    }
    wired = {
        "pod_network_cidr": "10.246.0.0/16",
        "pod_network_subnet": SUBNETS[name],
        "pod_network_address": ADDRESSES[name],
        "pod_network_peers": [OTHER[name]],
        "api_balancer_servers": [{"name": "default", "address": ADDRESSES["default"]}],
    }
    ca = "{{ modelyard_hosts.registry_ca }}"
    registries = {
        "registry_mirror_binary": str(_program("distribution", "registry")),
        "registry_mirror_address": ADDRESSES[name],
        "registry_mirror_ca": ca,
        "registry_mirror_credentials": "{{ modelyard_state }}/credentials",
        "registry_trust_ca": ca,
        "registry_trust_endpoint": f"https://{ADDRESSES[name]}:{MIRRORS[name][0]}",
    }
    programs = {
        "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
        "etcd_tools": ("etcdctl", "etcdutl"),
    }
    for role, files in programs.items():
        family = role.split("_")[0]
        own[f"{role}_version"] = manifest.load().family[family].version
        own[f"{role}_binaries"] = {file: str(_program(family, file)) for file in files}
        own[f"{role}_mounted"] = True
    return own | wired | registries | {"containerd_pause_image": "registry.k8s.io/pause:3.10"}


def _program(family: str, name: str) -> Path:
    entry = provide.find(family)
    assert entry is not None, f"{family} was never built. Run `.venv/bin/yard up test`."
    return entry.file(f"bin/{name}")


def answer(host: Host) -> None:
    """Have something answer in an API server's place on this machine."""
    key = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=simulated"
    outcomes.said(host, f"{key} -keyout /srv/ready.key -out /srv/ready.crt")
    told = host.run("systemd-run --unit=simulated-api python3 -c %s", READY)
    assert told.rc == 0, told.stderr


def balance_elsewhere(host: Host) -> None:
    """Have a balancer read another file than the one that stands there then."""
    file = "/etc/modelyard/api-balancer.cfg"
    outcomes.said(host, f"cp --preserve {file} {file}.right")
    outcomes.said(host, f"sed --in-place s/:7443/:7444/ {file}")
    outcomes.said(host, f"systemctl reload {BALANCER}")
    outcomes.said(host, f"mv {file}.right {file}")
    assert "127.0.0.1:7444" in _listening(host)


def fill(name: str) -> None:
    """Put an image into a machine's mirror, by way of the mirror's own loopback."""
    archive = images.find("pause")
    assert archive is not None, "the image pause was never built. Run `.venv/bin/yard up test`."
    pid = edge_ground.said(
        "docker", "inspect", "--format", "{{.State.Pid}}", onprem.container(name)
    )
    edge_ground.said(
        *("nsenter", "--net", "--target", pid, "skopeo", "copy", "--quiet", "--preserve-digests"),
        *("--dest-tls-verify=false", f"oci-archive:{archive.path}"),
        f"docker://127.0.0.1:{MIRRORS[name][1]}/pause:1",
    )


def _asked(host: Host, *words: str) -> str:
    told = host.run("python3 -c %s" + len(words) * " %s", ASK, *words)
    assert told.rc == 0, told.stderr
    return str(told.stdout).strip()


def _listening(host: Host) -> set[str]:
    told = outcomes.said(host, "ss --listening --tcp --numeric --no-header")
    return {line.split()[3] for line in told.splitlines()}


def node_container(host: Host, name: str) -> None:
    """The machine runs without the two rights that would reach its own, and ports are local."""
    made = json.loads(edge_ground.said("docker", "inspect", onprem.container(name)))[0]
    assert made["State"]["Running"]
    assert made["Config"]["Labels"]["modelyard.environment"] == "onprem"
    settings = made["HostConfig"]
    assert not settings["Privileged"]
    assert {one.removeprefix("CAP_") for one in settings["CapDrop"]} == {"SYS_RESOURCE", "SYS_TIME"}
    bound = [one["HostIp"] for ports in (settings["PortBindings"] or {}).values() for one in ports]
    assert bound == ([] if name == "default" else ["127.0.0.1"])
    (network,) = made["NetworkSettings"]["Networks"].values()
    assert network["IPAddress"] == ADDRESSES[name]
    assert host.service("ssh.service").is_running is (name == "alternative")
    assert host.file(str(store.root())).exists is (name == "default")


def containerd(host: Host, name: str) -> None:
    """As on every node; the alternative has copies of the programs and GPUs' runtime."""
    outcomes.containerd(host, environment.load("onprem"), name, TRUSTED[name])
    assert host.file("/usr/local/bin/ctr").is_symlink is (name == "default")
    settings = outcomes.said(host, "/usr/local/bin/containerd config dump")
    chosen = {"default": "runc", "alternative": "nvidia"}[name]
    assert f"default_runtime_name = '{chosen}'" in settings


def pod_network(host: Host, name: str) -> None:
    """A bridge with a subnet of its own, and a route to the other's pods."""
    network = yaml.safe_load(outcomes.configured(host, "/etc/cni/net.d/10-modelyard.conflist"))
    bridge = network["plugins"][0]
    assert bridge["bridge"] == BRIDGES[name]
    assert bridge["ipam"]["ranges"] == [[{"subnet": SUBNETS[name]}]]
    other = OTHER[name]
    assert f"{SUBNETS[other]} via {ADDRESSES[other]} " in outcomes.said(host, "ip -4 route")
    rules = outcomes.said(host, "iptables --table nat --list-rules POSTROUTING")
    assert [line for line in rules.splitlines() if SUBNETS[name] in line and "MASQUERADE" in line]
    assert host.service("modelyard-routes.service").is_enabled


def etcd_tools(host: Host, name: str) -> None:
    """The version is etcd's; the alternative has copies."""
    outcomes.etcd_tools(host)
    for tool in ("etcdctl", "etcdutl"):
        assert host.file(f"/usr/local/bin/{tool}").is_symlink is (name == "default")


def api_balancer(host: Host, name: str) -> None:
    """Whoever asks the machine's own port gets to a server that is ready."""
    unit = host.service(BALANCER)
    assert unit.is_running
    assert unit.is_enabled
    port = BALANCED[name]
    assert {one for one in _listening(host) if one.endswith(f":{port}")} == {f"127.0.0.1:{port}"}
    assert _asked(host, f"https://127.0.0.1:{port}/readyz") == "200 simulated"


def registry_mirror(host: Host, name: str) -> None:
    """Images are given to those with a password, and taken on the machine's loopback only."""
    edge_checks.mirror(host, MIRRORED[name])
    port, intake = MIRRORS[name]
    assert {f"{ADDRESSES[name]}:{port}", f"127.0.0.1:{intake}"} <= _listening(host)
    assert _asked(host, f"https://{ADDRESSES[name]}:{port}/v2/") == "401"
    assert _asked(host, f"http://127.0.0.1:{intake}/v2/").startswith("200")


def registry_trust(host: Host, name: str) -> None:
    """containerd pulls by the CA that it was given; the alternative from the mirror alone."""
    folder = f"{TRUSTED[name]}/{REGISTRY[name]}"
    own = places.state("onprem") / "credentials"
    assert outcomes.configured(host, f"{folder}/ca.crt").strip() == (
        (own / "ca.crt").read_text().strip()
    )
    assert "skip_verify" not in outcomes.configured(host, f"{folder}/hosts.toml")
    pull = f"/usr/local/bin/ctr --namespace tests images pull --hosts-dir {TRUSTED[name]}"
    image = f"{REGISTRY[name]}/pause:1"
    account = f"--user pull:{(own / 'registry-pull').read_text().strip()}"
    outcomes.said(host, f"{pull} {account} {image}")
    assert host.run(f"{pull} --user pull:wrong {image}").rc != 0


CHECKS = {
    "node_container": node_container,
    "containerd": containerd,
    "pod_network": pod_network,
    "etcd_tools": etcd_tools,
    "api_balancer": api_balancer,
    "registry_mirror": registry_mirror,
    "registry_trust": registry_trust,
}
