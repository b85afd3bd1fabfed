"""A storage class of the environment's own: where its volumes lie, and that they outlive claims."""

from typing import Any

import pytest

from tests.system.house import CONFINED, LOCKED, NAME, House, Kubernetes, run, told, until

pytestmark = pytest.mark.system

CLASS, NODE = "scratch", "gpu-1"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def _on(node: str, *command: str) -> str:
    done = run("docker", "exec", f"modelyard-{NAME}-{node}", *command, timeout=60)
    assert done.returncode == 0, told(done)
    return done.stdout


def _writer(image: str) -> dict[str, Any]:
    """A pod that asks for no node, only for a volume, and writes to it as an ordinary user."""
    container = {
        "name": "writer",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "echo kept > /scratch/result"],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
        "securityContext": LOCKED,
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": CONFINED,
    }
    return {"metadata": {"name": "writer"}, "spec": spec}


def test_the_first_class_is_the_default_and_the_only_one(
    house: House, kubernetes: Kubernetes
) -> None:
    marks = {
        one["metadata"]["name"]: one["metadata"].get("annotations", {}).get(DEFAULT)
        for one in kubernetes.items(CLASSES)
    }

    assert [one.name for one in house.environment.storage] == [*marks] == ["local-path", CLASS]
    assert marks == {"local-path": "true", CLASS: None}


def test_a_volume_lies_in_the_folder_of_its_class_on_a_node_of_its_pool_and_outlives_its_claim(
    house: House, kubernetes: Kubernetes, namespace: str
) -> None:
    here = f"/api/v1/namespaces/{namespace}"
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": CLASS,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    kubernetes.create(
        f"{here}/persistentvolumeclaims", {"metadata": {"name": "scratch"}, "spec": claim}
    )
    kubernetes.create(f"{here}/pods", _writer(house.contract.images["modelyard/shell"].pinned))
    until(
        "the pod has written",
        lambda: kubernetes.get(f"{here}/pods/writer")["status"]["phase"] == "Succeeded",
    )
    assert kubernetes.get(f"{here}/pods/writer")["spec"]["nodeName"] == NODE
    volume = kubernetes.get(f"{here}/persistentvolumeclaims/scratch")["spec"]["volumeName"]
    folder = kubernetes.get(f"{VOLUMES}/{volume}")["spec"]["local"]["path"]
    assert folder.startswith(f"{house.environment.storage[1].folder}/")

    kubernetes.delete(f"{here}/pods/writer")
    kubernetes.delete(f"{here}/persistentvolumeclaims/scratch")
    until(
        "the volume has lost its claim",
        lambda: kubernetes.get(f"{VOLUMES}/{volume}")["status"]["phase"] == "Released",
    )

    try:
        assert _on(NODE, "cat", f"{folder}/result") == "kept\n"
    finally:
        kubernetes.delete(f"{VOLUMES}/{volume}")
        _on(NODE, "rm", "-r", folder)


def test_a_kubelet_waits_for_the_file_systems_of_its_storage_classes(house: House) -> None:
    folder = str(house.environment.storage[1].folder)

    mounts = _on(NODE, "systemctl", "show", "--property=RequiresMountsFor", "kubelet.service")
    assert folder in mounts.split("=", 1)[1].split()
    assert folder not in _on(
        "cpu-1", "systemctl", "show", "--property=RequiresMountsFor", "kubelet.service"
    )
