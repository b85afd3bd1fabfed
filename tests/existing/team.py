"""The team on its cluster: what it runs there, and its own checkout with `yard`."""

import base64
import json
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx
import yaml

from ci.pipeline import engine
from ci.toolchain import provide
from infra import places
from infra.contract import Contract
from tests.existing import owner
from tests.system.house import Kubernetes, run, told, until

FILES = Path(__file__).parent / "files"
NAME = "team"
HOSTS_TOML = "/etc/containerd/certs.d/registry.team.internal/hosts.toml"
SECRETS = {
    ("team-registry", "registry"): {
        "tls.crt": "registry.crt",
        "tls.key": "registry.key",
        "htpasswd": "htpasswd",
    },
    ("team-gateway", "gateway"): {"tls.crt": "gateway.crt", "tls.key": "gateway.key"},
}
"""Files of the owner's credentials by namespace and name of their Secret."""


@dataclass(frozen=True)
class Team:
    """A checkout of the team's, the owner's secrets, and who may push to the team's registry."""

    checkout: Path
    login: Path
    """What `skopeo login` wrote."""

    @property
    def owners(self) -> Contract:
        """What the playbooks say of the cluster; the team's own contract is another."""
        path = places.state(owner.NAME) / "contract.json"
        return Contract.model_validate_json(path.read_text())

    @property
    def ca(self) -> Path:
        """Who signed the certificates of the team's registry and gateway."""
        return self.owners.credentials / "ca.crt"

    def yard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the checkout's `yard` as somebody who is logged in; the caller judges its exit."""
        variables = {"REGISTRY_AUTH_FILE": str(self.login), "SSL_CERT_FILE": str(self.ca)}
        command = self.checkout / ".venv/bin/yard"
        return run(command, *arguments, inside=self.checkout, environment=variables)

    def done(self, *arguments: str) -> str:
        """Run `yard`, insist that it exits with 0, and return what it wrote on stdout."""
        result = self.yard(*arguments)
        assert result.returncode == 0, told(result)
        return result.stdout

    def contract(self, **changes: Any) -> None:
        """Write the team's contract, with changes."""
        text = Template((FILES / "contract.yaml").read_text()).substitute(
            kubeconfig=self.owners.kubeconfig, ca=self.ca
        )
        path = self.checkout / "contracts" / "team.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(yaml.safe_load(text) | changes))

    def kubernetes(self) -> Kubernetes:
        """The API server, as the cluster's administrator."""
        return Kubernetes(self.owners.kubeconfig)

    def ask(self, url: str, **more: Any) -> httpx.Response:
        """A request through the team's gateway, by whoever trusts the team's certificates."""
        trust = ssl.create_default_context(cafile=str(self.ca))
        with httpx.Client(verify=trust, timeout=30, trust_env=False) as client:
            return client.get(url, **more)

    def settle(self) -> None:
        """Run what the team runs, and let its nodes pull from its registry."""
        self._kubectl("label", "nodes", "cpu-1", "team.example.com/pool=workers")
        self._apply_definitions()
        for name in ("registry", "monitoring", "gateway"):
            self._apply((FILES / f"{name}.yaml").read_text())
        for (namespace, name), files in SECRETS.items():
            self._apply(json.dumps(self._secret(namespace, name, files)))
        for namespace, name in (
            ("team-registry", "registry"),
            ("team-monitoring", "prometheus"),
            ("team-gateway", "traefik"),
        ):
            self._kubectl(
                *("rollout", "status", f"deployment/{name}", "--namespace", namespace),
                "--timeout=180s",
            )
        self._let_nodes_pull()
        self._log_in()

    def _apply(self, text: str) -> None:
        images = {
            name.removeprefix("modelyard/"): self.owners.images[name].pinned for name in owner.TEAMS
        }
        self._kubectl("apply", "--filename", "-", text=Template(text).safe_substitute(images))

    def _apply_definitions(self) -> None:
        entry = provide.find("traefik")
        assert entry is not None
        # Too large for the annotation in which `apply` keeps what was there before.
        self._kubectl("create", "--filename", str(entry.path / "share"))
        self._kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")

    def _secret(self, namespace: str, name: str, files: dict[str, str]) -> dict[str, Any]:
        folder = self.owners.credentials
        data = {
            key: base64.b64encode((folder / file).read_bytes()).decode()
            for key, file in files.items()
        }
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    def _let_nodes_pull(self) -> None:
        """Give each node's containerd the password of the account `pull`."""
        password = (self.owners.credentials / "registry-pull").read_text()
        basic = base64.b64encode(f"pull:{password}".encode()).decode()
        connection = engine.client()
        label: dict[str, str | list[str] | bool] = {"label": f"{engine.LABEL}={owner.NAME}"}
        try:
            for node in connection.containers.list(filters=label):
                said = node.exec_run(["cat", HOSTS_TOML]).output
                assert isinstance(said, bytes)
                (host,) = (
                    line.strip("[]") for line in said.decode().splitlines() if "[host" in line
                )
                more = f'\n[{host}.header]\n  authorization = ["Basic {basic}"]\n'
                script = f'printf %s "$MORE" >> {HOSTS_TOML}'
                done = node.exec_run(["sh", "-c", script], environment={"MORE": more})
                assert done.exit_code == 0, done.output
        finally:
            connection.close()

    def _log_in(self) -> None:
        command = ["skopeo", "login", "--authfile", str(self.login), "--username", "push"]
        command += ["--cert-dir", str(self.owners.credentials / "trust"), "--password-stdin"]
        password = (self.owners.credentials / "registry-push").read_text()

        def taken() -> bool:
            done = subprocess.run(
                [*command, "127.0.0.1:45443"], input=password, capture_output=True, text=True
            )
            # A node's port leads nowhere yet while kube-proxy has not heard of the pod.
            assert done.returncode == 0 or "EOF" in done.stderr, done.stderr
            return done.returncode == 0

        until("the team's registry answers", taken)

    def _kubectl(self, *arguments: str, text: str | None = None) -> str:
        entry = provide.find("kubernetes")
        assert entry is not None
        command = [str(entry.file("bin/kubectl")), "--kubeconfig", str(self.owners.kubeconfig)]
        done = subprocess.run(
            [*command, *arguments], input=text, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
