"""The order of the files that share the environment `test`, and what holds for all tests."""

import pytest
from hypothesis import settings

# How long an example takes is the machine's; no test asks for it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ORDER = (
    # What changes most comes last, so that an early file never meets what a late one left behind.
    "system/test_contract.py",
    "system/test_platform.py",
    "system/test_bench.py",
    "system/test_prediction.py",
    "system/test_gateway_input.py",
    "system/test_gates.py",
    "system/test_pulumi_by_hand.py",
    "system/test_gpu_pool.py",
    "system/test_storage.py",
    "system/test_canary.py",
    "system/test_embed.py",
    "system/test_second_service.py",
    # The first brings the environment up, from nothing and in pieces; the last stops the engine.
    "faults/test_killed.py",
    "faults/test_commands.py",
    "faults/test_drift.py",
    "faults/test_callers.py",
    "faults/test_load.py",
    "faults/test_network.py",
    "faults/test_nodes.py",
    "faults/test_engine.py",
    # Have environments of their own, beside which no other fits: ci/test-hosts.sh runs them first.
    "hosts/test_quorum.py",
    "hosts/test_control_plane_goes.py",
    "hosts/test_upgrade.py",
    "hosts/test_backup.py",
    "hosts/test_rehearsal.py",
    "hosts/test_policies.py",
    "hosts/test_cilium_days.py",
    # They take the cores that tests of API servers have by then left (ci/test.sh).
    "hosts/test_containers.py",
    "hosts/test_network.py",
    "hosts/test_validate.py",
    "hosts/test_outcomes.py",
    "hosts/test_repair.py",
    "hosts/test_preflight.py",
    "hosts/test_base.py",
    "hosts/test_gpu_driver.py",
    "hosts/test_gpu_node.py",
    "hosts/test_driver_change.py",
    "hosts/test_gpu_cordon.py",
    "hosts/test_node_exporter.py",
    "hosts/test_without_cluster.py",
    "hosts/test_etcd.py",
    "hosts/test_node_labels.py",
    "hosts/test_gone_host.py",
    "hosts/test_scale.py",
    "hosts/test_edge.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep ORDER, and put these files behind all others."""

    def rank(item: pytest.Item) -> int:
        file = f"{item.path.parent.name}/{item.path.name}"
        return ORDER.index(file) if file in ORDER else -1

    items.sort(key=rank)
