"""Pools: what AWS is asked for, for each way to buy, share and connect nodes."""

import base64
import json
import re
from typing import Any

import pytest

from infra.foundation import placement, tables
from tests.infra.foundation.conftest import Estate

GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
TAG = "aws:autoscaling/tag:Tag"


def group(estate: Estate, pool: str) -> dict[str, Any]:
    return estate.one(GROUP, f"eks-pools-{pool}-group")


def template(estate: Estate, pool: str) -> dict[str, Any]:
    return estate.one(TEMPLATE, f"eks-pools-{pool}-template")


def user_data(estate: Estate, pool: str) -> str:
    return base64.b64decode(template(estate, pool)["userData"]).decode()


def test_every_pool_of_the_file_is_a_node_group_of_its_size(estate: Estate) -> None:
    found = {
        one["nodeGroupNamePrefix"]: (
            one["scalingConfig"]["minSize"],
            one["scalingConfig"]["maxSize"],
        )
        for one in estate.engine.of(GROUP).values()
    }

    assert found == {f"{pool.name}-": (pool.min, pool.max) for pool in estate.aws.pools}


def test_a_pool_may_begin_empty(estate: Estate) -> None:
    empty = [pool for pool in estate.aws.pools if pool.min == 0]

    assert empty
    for pool in empty:
        assert group(estate, pool.name)["scalingConfig"]["desiredSize"] == 0


def test_nodes_stand_in_private_subnets_of_their_zones(estate: Estate) -> None:
    for pool in estate.aws.pools:
        zones = placement.zones(estate.aws, pool)
        assert group(estate, pool.name)["subnetIds"] == [
            f"network-private-{estate.aws.zones.index(zone) + 1}-id" for zone in zones
        ]


def test_images_are_pinned_and_fit_the_accelerator(prod: Estate) -> None:
    known = tables.sets().sets[prod.aws.versions]
    found = {pool.name: group(prod, pool.name)["amiType"] for pool in prod.aws.pools}

    assert found == {
        "system": "AL2023_x86_64_STANDARD",
        "gpu": "AL2023_x86_64_NVIDIA",
        "gpu-parts": "AL2023_x86_64_NVIDIA",
        "training": "AL2023_x86_64_NVIDIA",
        "neuron": "AL2023_x86_64_NEURON",
        "arm": "AL2023_ARM_64_STANDARD",
    }
    for pool in prod.aws.pools:
        assert group(prod, pool.name)["releaseVersion"] == known.image_release


def test_labels_and_taints_are_those_that_pods_will_be_given(estate: Estate) -> None:
    for pool in estate.aws.pools:
        made = group(estate, pool.name)
        taints = [f"{one['key']}={one['value']}" for one in made["taints"]]
        assert made["labels"] == placement.labels(pool)
        assert taints == [text.rpartition(":")[0] for text in placement.taints(pool)]


@pytest.mark.parametrize(
    ("environment", "pool", "capacity"),
    [
        ("dev", "gpu", "SPOT"),
        ("prod", "gpu", "ON_DEMAND"),
        ("prod", "training", "CAPACITY_BLOCK"),
    ],
)
def test_nodes_are_bought_as_the_file_says(
    estates: dict[str, Estate], environment: str, pool: str, capacity: str
) -> None:
    assert group(estates[environment], pool)["capacityType"] == capacity


def test_a_capacity_block_is_used_from_its_reservation_alone(prod: Estate) -> None:
    made = template(prod, "training")

    assert made["instanceType"] == "p5en.48xlarge"
    assert made["instanceMarketOptions"] == {"marketType": "capacity-block"}
    assert made["capacityReservationSpecification"] == {
        "capacityReservationPreference": "capacity-reservations-only",
        "capacityReservationTarget": {"capacityReservationId": "cr-0123456789abcdef0"},
    }
    assert "instanceTypes" not in group(prod, "training")


def test_one_type_stands_where_its_change_replaces_node_after_node(prod: Estate) -> None:
    assert template(prod, "system")["instanceType"] == "m7i.2xlarge"
    assert "instanceTypes" not in group(prod, "system")


def test_costs_can_be_told_by_pool_and_type(prod: Estate) -> None:
    for pool in prod.aws.pools:
        assert group(prod, pool.name)["tags"] == {
            "modelyard:pool": pool.name,
            "modelyard:instance-types": " ".join(pool.instance_types),
        }


def test_several_types_stand_where_their_change_replaces_the_group(prod: Estate) -> None:
    assert "instanceType" not in template(prod, "gpu")
    assert group(prod, "gpu")["instanceTypes"] == ["g6.xlarge", "g6.2xlarge"]
    # By a prefix, as two groups stand beside each other for a while.
    assert "nodeGroupName" not in group(prod, "gpu")


def test_an_ordinary_pool_names_no_reservation(prod: Estate) -> None:
    made = template(prod, "gpu")

    assert not {"instanceMarketOptions", "capacityReservationSpecification"} & set(made)


def test_every_card_of_a_fabric_pool_has_its_adapter(prod: Estate) -> None:
    cards = template(prod, "training")["networkInterfaces"]

    assert [card["networkCardIndex"] for card in cards] == list(range(16))
    assert cards[0]["interfaceType"] == "efa"
    assert {card["interfaceType"] for card in cards[1:]} == {"efa-only"}
    assert {tuple(card["securityGroups"]) for card in cards} == {
        ("sg-cluster", "eks-pools-training-fabric-id")
    }


def test_the_fabric_passes_between_nodes_of_the_pool_alone(prod: Estate) -> None:
    for way in ("Ingress", "Egress"):
        kind = f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule"
        rule = prod.one(kind, f"eks-pools-training-fabric-{'in' if way == 'Ingress' else 'out'}")
        assert rule["securityGroupId"] == rule["referencedSecurityGroupId"]
        assert rule["ipProtocol"] == "-1"


def test_nodes_of_a_placement_group_stand_together(prod: Estate) -> None:
    groups = prod.engine.of("aws:ec2/placementGroup:PlacementGroup")

    assert set(groups) == {"eks-pools-training-placement"}
    assert groups["eks-pools-training-placement"]["strategy"] == "cluster"
    assert template(prod, "training")["placement"] == {"groupName": "modelyard-prod-training"}
    assert "placement" not in template(prod, "gpu")


def test_disks_are_encrypted_and_as_large_as_the_file_says(estate: Estate) -> None:
    for pool in estate.aws.pools:
        (disk,) = template(estate, pool.name)["blockDeviceMappings"]
        assert disk["ebs"]["encrypted"] == "true"
        assert disk["ebs"]["kmsKeyId"] == "arn:aws:kms:test:keys-disks"
        assert disk["ebs"]["volumeSize"] == pool.disk_gib


def test_pods_cannot_reach_the_credentials_of_their_node(estate: Estate) -> None:
    for pool in estate.aws.pools:
        metadata = template(estate, pool.name)["metadataOptions"]
        assert metadata["httpTokens"] == "required"
        assert metadata["httpPutResponseHopLimit"] == 1


def test_the_kubelet_knows_how_many_pods_have_addresses(estate: Estate) -> None:
    for pool in estate.aws.pools:
        found = re.search(r'"maxPods": (\d+)', user_data(estate, pool.name))
        assert found
        assert int(found[1]) == placement.max_pods(pool)


def test_user_data_is_what_an_al2023_image_reads(estate: Estate) -> None:
    for pool in estate.aws.pools:
        head, *parts, end = user_data(estate, pool.name).split("--modelyard-node")
        assert head.startswith("MIME-Version: 1.0\nContent-Type: multipart/mixed;")
        assert parts[0].startswith("\nContent-Type: application/node.eks.aws\n")
        json.loads(parts[0].split("\n\n", 1)[1])
        assert all("text/x-shellscript" in part for part in parts[1:])
        assert end == "--\n"


def test_gpus_are_divided_where_the_file_says_so_and_nowhere_else(prod: Estate) -> None:
    divided = [
        pool.name for pool in prod.aws.pools if "nvidia-smi mig" in user_data(prod, pool.name)
    ]

    assert divided == ["gpu-parts"]
    assert ",".join(["1g.5gb"] * 7) in user_data(prod, "gpu-parts")


def test_containerd_is_restarted_while_the_known_good_image_needs_it(estate: Estate) -> None:
    needed = tables.sets().sets[estate.aws.versions].restarts_containerd

    for pool in estate.aws.pools:
        assert ("systemctl restart containerd" in user_data(estate, pool.name)) is needed


def tags(estate: Estate, pool: str) -> dict[str, str]:
    return {
        one["tag"]["key"]: one["tag"]["value"]
        for one in estate.engine.of(TAG).values()
        if one["autoscalingGroupName"] == f"eks-{pool}-1"
    }


def test_an_autoscaler_knows_what_a_node_of_an_empty_pool_would_be(prod: Estate) -> None:
    node = "k8s.io/cluster-autoscaler/node-template"
    found = tags(prod, "gpu-parts")

    assert found["k8s.io/cluster-autoscaler/enabled"] == "true"
    assert found[f"{node}/resources/nvidia.com/gpu"] == "56"
    assert found[f"{node}/label/modelyard.dev/pool"] == "gpu-parts"
    assert found[f"{node}/taint/nvidia.com/gpu"] == "present:NoSchedule"
    assert tags(prod, "neuron")[f"{node}/resources/aws.amazon.com/neuron"] == "1"


def test_nobody_but_the_autoscaler_owns_how_many_nodes_there_are(
    prod: Estate, new_engine: type
) -> None:
    # ignore_changes is an option, which a mock does not see: it stands in the source.
    import inspect

    from infra.foundation.node_pool import NodePool

    assert 'ignore_changes=["scalingConfig.desiredSize"]' in inspect.getsource(NodePool)


def test_nodes_may_pull_images_and_nothing_more(estate: Estate) -> None:
    attached = estate.engine.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    policies = {
        one["policyArn"].rsplit("/", 1)[-1]
        for name, one in attached.items()
        if name.startswith("eks-nodes-")
    }

    assert policies == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}
    for name, statement in estate.statements():
        if name == "eks-nodes-caches":
            assert set(statement["Action"]) == {
                "ecr:BatchImportUpstreamImage",
                "ecr:CreateRepository",
            }
            assert all(":repository/" in one for one in statement["Resource"])
