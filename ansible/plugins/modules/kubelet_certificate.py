"""Approve what a kubelet asks for until it serves with a certificate of the cluster's CA."""

import json
import re
import socket
import ssl
import subprocess
import time
from base64 import b64decode
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: kubelet_certificate
short_description: a kubelet that serves with a certificate of the cluster's CA
description:
  - Runs on a control plane. Approves the requests of one node's kubelet, for its own name and
    address only, until the kubelet proves itself by the cluster's CA.
options:
  node:
    description: Name of the node.
    type: str
    required: true
  address:
    description: Address of the node.
    type: str
    required: true
  renew:
    description: Seconds before its end at which a certificate counts as missing.
    type: int
    required: true
  kept:
    description: Whether the node has one, with which a kubelet that is stopped will serve again.
    type: bool
    default: false
  patience:
    description: Seconds to wait for the kubelet.
    type: int
    default: 120
"""
KUBECTL = ["/usr/local/bin/kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
CA = "/etc/kubernetes/pki/ca.crt"
PORT = 10250


def main() -> None:
    """Look at what the kubelet serves with, and approve its requests if that will not do."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "renew": {"type": "int", "required": True},
            "kept": {"type": "bool", "default": False},
            "patience": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    address, renew = module.params["address"], module.params["renew"]
    fault = served(address, renew)
    if not fault or module.check_mode:
        keeps = module.params["kept"] and silent(address)
        module.exit_json(changed=bool(fault) and not keeps, fault=fault)
    deadline = time.monotonic() + module.params["patience"]
    approved: list[str] = []
    while fault and time.monotonic() < deadline:
        # A request may be older than the kubelet's last start, so one approval is not the end.
        for request in pending(module):
            refuse_foreign_names(module, request)
            kubectl(module, "certificate", "approve", request["metadata"]["name"])
            approved.append(request["metadata"]["name"])
        time.sleep(1)
        fault = served(address, renew)
    if fault:
        module.fail_json(
            msg=f"the kubelet of {module.params['node']} does not prove itself: {fault}. "
            f"Approved: {approved or 'nothing, because it asked for nothing'}. "
            "Look at `journalctl -u kubelet` there."
        )
    module.exit_json(changed=bool(approved), approved=approved)


def served(address: str, renew: int) -> str:
    """What is wrong with the certificate that the kubelet serves with; '' when nothing is."""
    try:
        context = ssl.create_default_context(cafile=CA)
        with (
            socket.create_connection((address, PORT), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=address) as secure,
        ):
            ends = ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"]))
    except OSError as error:  # ssl.SSLError is one
        return str(error)
    return "" if ends - time.time() > renew else "it ends soon"


def silent(address: str) -> bool:
    """Whether no kubelet is there to be asked."""
    try:
        socket.create_connection((address, PORT), timeout=10).close()
    except OSError:
        return True
    return False


def pending(module: AnsibleModule) -> list[dict[str, Any]]:
    """Requests of the node's kubelet for a serving certificate that nobody has answered."""
    listed = json.loads(kubectl(module, "get", "certificatesigningrequests", "--output", "json"))
    return [
        one
        for one in listed["items"]
        if one["spec"]["signerName"] == "kubernetes.io/kubelet-serving"
        and one["spec"]["username"] == f"system:node:{module.params['node']}"
        and not one.get("status", {}).get("conditions")
    ]


def refuse_foreign_names(module: AnsibleModule, request: dict[str, Any]) -> None:
    """The API server lets a kubelet ask for any name; it gets its own."""
    text = subprocess.run(
        ["openssl", "req", "-noout", "-text"],
        input=b64decode(request["spec"]["request"]),
        capture_output=True,
        check=True,
    ).stdout.decode()
    asked, allowed = names(text), {module.params["node"], module.params["address"]}
    if not asked or not asked <= allowed:
        module.fail_json(
            msg=f"the kubelet of {module.params['node']} asks for {sorted(asked)}; it may have "
            f"{sorted(allowed)}. Find out who asks under its name before anybody approves that."
        )


def names(text: str) -> set[str]:
    """Alternative names in what openssl prints of a request."""
    found = re.search(r"Subject Alternative Name:[^\n]*\n\s*(.+)", text)
    return {part.split(":", 1)[1].strip() for part in found[1].split(",")} if found else set()


def kubectl(module: AnsibleModule, *arguments: str) -> str:
    """What kubectl prints."""
    done = subprocess.run([*KUBECTL, *arguments], capture_output=True, text=True)
    if done.returncode:
        module.fail_json(msg=f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
