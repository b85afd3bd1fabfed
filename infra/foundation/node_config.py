"""What a node is told when it starts, as the MIME text that AL2023 images read. Plain text.

EKS joins it with its own part for the managed node group. Scripts run before the kubelet starts.
"""

import json

from infra.foundation import placement
from infra.foundation.settings import Mig, Pool
from infra.foundation.tables import Set

BOUNDARY = "modelyard-node"


def text(pool: Pool, versions: Set) -> str:
    """User data of a pool's nodes."""
    parts = [("application/node.eks.aws", _kubelet(pool))]
    if isinstance(pool.sharing, Mig):
        divided = placement.mig_profiles(pool)[pool.sharing.profile]
        parts.append(("text/x-shellscript", _divide(pool.sharing.profile, divided)))
    if versions.restarts_containerd:
        parts.append(("text/x-shellscript", _RESTART))
    body = "".join(f"--{BOUNDARY}\nContent-Type: {kind}\n\n{part}\n" for kind, part in parts)
    return (
        "MIME-Version: 1.0\n"
        f'Content-Type: multipart/mixed; boundary="{BOUNDARY}"\n\n'
        f"{body}--{BOUNDARY}--\n"
    )


def _kubelet(pool: Pool) -> str:
    """Without maxPods, nodeadm would count the first interface, which carries no pods here."""
    document = {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"kubelet": {"config": {"maxPods": placement.max_pods(pool)}}},
    }
    return json.dumps(document, indent=1)


def _divide(profile: str, number: int) -> str:
    """Divide every GPU alike; a second run finds them divided and changes nothing."""
    return f"""#!/bin/bash
set -euo pipefail
if [ -z "$(nvidia-smi mig -lgi 2>/dev/null | grep -F '{profile}')" ]; then
  nvidia-smi -mig 1
  nvidia-smi mig -cgi {",".join([profile] * number)} -C
fi
"""


# The kubelet is restarted with it, so that it does not wait for a sandbox of the old one.
_RESTART = """#!/bin/bash
# awslabs/amazon-eks-ami#2705
systemd-run --unit=restart-containerd --property=After=nodeadm-run.service --no-block \\
  /bin/sh -c 'systemctl restart containerd && systemctl try-restart kubelet'
"""
