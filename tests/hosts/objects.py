"""All objects of a cluster that last, to compare two moments of it."""

import json
from typing import Any

from ci.toolchain import provide
from infra import places
from tests.system import house

# What makes itself anew, or ends by itself: no backup is about it.
PASSING = {
    *("events", "leases.coordination.k8s.io", "certificatesigningrequests.certificates.k8s.io"),
    *("endpoints", "ipaddresses.networking.k8s.io", "componentstatuses"),
}
MIRROR = "kubernetes.io/config.mirror"
BOOTSTRAP = "bootstrap.kubernetes.io/token"


def kubectl(environment: str, *arguments: str) -> str:
    """What kubectl prints with the administrator's kubeconfig."""
    entry = provide.find("kubernetes")
    assert entry is not None
    kubeconfig = f"--kubeconfig={places.state(environment) / 'kubeconfig'}"
    done = house.run(entry.file("bin/kubectl"), kubeconfig, *arguments, timeout=120)
    assert done.returncode == 0, house.told(done)
    return done.stdout


def lasting(environment: str) -> dict[str, str]:
    """Every object that lasts, of every kind that can be listed: its uid, by kind and name."""
    kinds = kubectl(environment, "api-resources", "--verbs=list", "--output=name").split()
    wanted = sorted({*kinds} - PASSING - {one for one in kinds if ".metrics.k8s.io" in one})
    listed = json.loads(
        kubectl(environment, "get", ",".join(wanted), "--all-namespaces", "--output=json")
    )
    return {
        _name(one): one["metadata"]["uid"]
        for one in listed["items"]
        if MIRROR not in one["metadata"].get("annotations", {}) and one.get("type") != BOOTSTRAP
    }


def lost(before: dict[str, str], after: dict[str, str], *anew: str) -> dict[str, str]:
    """Of what there was before, what is not there afterwards, or is another; not of kinds that
    are made ``anew``."""
    return {
        name: uid
        for name, uid in before.items()
        if after.get(name) != uid and name.split()[1] not in anew
    }


def _name(item: dict[str, Any]) -> str:
    place = item["metadata"].get("namespace", "")
    return f"{item['apiVersion']} {item['kind']} {place}/{item['metadata']['name']}"
