"""What differs from cluster to cluster comes from the contract, not from an environment's name."""

from typing import TYPE_CHECKING, cast

import pulumi
import pytest
from pulumi_kubernetes.networking.v1 import IPBlockArgs

from infra.contract import Contract
from infra.platform import policies
from infra.platform.accelerators import Accelerators, AcceleratorsArgs
from infra.platform.metrics import Metrics, MetricsArgs
from infra.platform.monitoring import Monitoring, MonitoringArgs
from infra.platform.storage import Storage, StorageArgs

if TYPE_CHECKING:
    from tests.infra.conftest import Engine


def test_a_cluster_with_storage_of_its_own_gets_no_provisioner(
    engine: "Engine", facts: Contract
) -> None:
    def program() -> pulumi.Output[None]:
        cloud = facts.model_copy(update={"storage_class": "gp3"})
        made = Storage("storage", StorageArgs(contract=cloud, namespace="storage"))

        def claim(name: str) -> None:
            assert name == "gp3"

        return made.storage_class.apply(claim)

    engine.run(program)

    assert [one.type for one in engine.registered] == ["modelyard:platform:Storage"]


def test_a_pool_of_real_gpus_gets_no_simulated_ones(engine: "Engine", facts: Contract) -> None:
    real = facts.model_copy(
        update={"pools": [pool.model_copy(update={"simulated": False}) for pool in facts.pools]}
    )

    engine.run(
        lambda: Accelerators("gpus", AcceleratorsArgs(contract=real, namespace="accelerators"))
    )

    assert engine.created("DaemonSet") == []
    assert engine.created("ServiceAccount") == []


def test_a_simulated_pool_gets_a_plugin_that_tolerates_its_taint_and_counts_its_gpus(
    engine: "Engine", facts: Contract
) -> None:
    engine.run(
        lambda: Accelerators("gpus", AcceleratorsArgs(contract=facts, namespace="accelerators"))
    )

    pod = engine.one("DaemonSet")["spec"]["template"]["spec"]
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}
    ]
    variables = {one["name"]: one for one in pod["containers"][0]["env"]}
    assert variables["MODELYARD_GPUS"]["value"] == "2"
    field = variables["MODELYARD_NODE"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "spec.nodeName"


@pytest.mark.parametrize(
    ("certified", "expected"),
    [
        (
            True,
            "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        ),
        (False, "--kubelet-insecure-tls"),
    ],
)
def test_certificates_of_kubelets_are_checked_where_they_can_be(
    engine: "Engine", facts: Contract, certified: bool, expected: str
) -> None:
    cluster = facts.model_copy(update={"kubelets_certified": certified})

    engine.run(lambda: Metrics("metrics", MetricsArgs(contract=cluster, namespace="monitoring")))

    given = engine.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [one for one in given if one.startswith(("--kubelet-cert", "--kubelet-ins"))] == [
        expected
    ]


@pytest.mark.parametrize("there", [True, False])
def test_prometheus_may_ask_the_nodes_themselves_only_where_node_exporter_answers(
    engine: "Engine", facts: Contract, there: bool
) -> None:
    cluster = facts.model_copy(update={"node_exporter": there})

    engine.run(
        lambda: Monitoring(
            "monitoring",
            MonitoringArgs(
                contract=cluster,
                namespace="monitoring",
                namespaces={},
                storage_class="local-path",
                retention_days=1,
            ),
        )
    )

    rules = engine.one("NetworkPolicy")["spec"]["egress"]
    nodes = [rule for rule in rules if "ipBlock" in str(rule["to"]) and len(rule["to"]) == 1]
    assert [port["port"] for rule in nodes for port in rule["ports"]] == (
        [10250, 9100] if there else [10250]
    )


@pytest.mark.parametrize("engine_name", ["bridge", "cilium"])
def test_on_cilium_hosts_may_also_speak_from_the_pods_range(
    facts: Contract, engine_name: str
) -> None:
    there = facts.model_copy(update={"network_engine": engine_name})

    blocks = [cast(IPBlockArgs, peer.ip_block) for peer in policies.nodes(there)]

    assert [block.cidr for block in blocks] == [
        facts.node_cidr,
        *([facts.pod_cidr] if engine_name == "cilium" else []),
    ]
