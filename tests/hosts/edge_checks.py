"""What an edge host and a mirror promise, and what is asked of them."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from infra import places
from tests.hosts import edge_ground, outcomes
from tests.hosts.edge_ground import ADDRESSES

UNIT = "modelyard-edge.service"
URLS = {"edge-1": "http://127.0.0.1:3000", "edge-2": f"http://{ADDRESSES['edge-2']}:8080"}
EXAMPLE = places.REPOSITORY / "services/models/digits/example.json"
ASK = """
import json, sys, urllib.request as web
asked = web.Request(sys.argv[1], sys.stdin.read().encode() or None)
asked.add_header("content-type", "application/json")
try:
    answer = web.urlopen(asked, timeout=10)
    print(json.dumps([answer.status, answer.read().decode()]))
except web.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
"""
PATIENCE_S = 120


def ask(host: Host, url: str, text: str = "") -> tuple[int, str]:
    """Status and body; AssertionError when nobody answers."""
    told = host.run("printf %%s %s | python3 -c %s %s", text, ASK, url)
    assert told.rc == 0, told.stderr
    status, body = json.loads(told.stdout)
    return status, body


def predict(host: Host, name: str) -> dict[str, Any]:
    """The answer to the model's example."""
    status, body = ask(host, f"{URLS[name]}/v1/predict", EXAMPLE.read_text())
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


def ready(host: Host) -> str:
    """Digest that the host says is ready."""
    told = outcomes.said(host, "python3 /usr/local/lib/modelyard/edge.py state")
    return str(json.loads(told)["ready"])


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for what systemd does by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(1)
    pytest.fail(f"{what} not within {PATIENCE_S} s")


def runtime(host: Host) -> None:
    """podman pulls from the mirror, by the environment's CA, and does nothing by itself."""
    assert host.package("podman").is_installed
    place = edge_ground.ENDPOINT.removeprefix("https://")
    told = outcomes.configured(host, "/etc/containers/registries.conf.d/50-modelyard.conf")
    assert f'location = "{place}"' in told
    outcomes.configured(host, f"/etc/containers/certs.d/{place}/ca.crt")
    assert host.file("/etc/modelyard-edge/registry.json").mode == 0o600
    for unit in ("podman.socket", "podman-auto-update.timer"):
        assert not host.service(unit).is_running
        assert host.service(unit).is_masked


def service(host: Host, name: str, digest: str) -> None:
    """The wanted digest is ready under a unit that starts at boot."""
    assert host.service(UNIT).is_running
    assert host.service(UNIT).is_enabled
    assert ready(host) == digest
    assert ask(host, f"{URLS[name]}/readyz")[0] == 200


def mirror(host: Host, folder: str = "/var/lib/modelyard-mirror") -> None:
    """Two units of one user over one folder, of which one may write."""
    for unit in ("modelyard-mirror.service", "modelyard-mirror-intake.service"):
        assert host.service(unit).is_running
        assert host.service(unit).is_enabled
    assert host.file("/etc/modelyard-mirror/tls.key").mode == 0o640
    assert host.file(folder).user == "modelyard-mirror"
