"""EKS and its add-ons: who reaches the API server, what is encrypted, what is pinned."""

import json

import pytest

from infra import environment
from infra.environment import Environment
from infra.foundation import tables
from infra.foundation.cluster import ADMIN
from tests.infra.foundation.conftest import Estate

CLUSTER = "aws:eks/cluster:Cluster"
ADDON = "aws:eks/addon:Addon"


def test_the_api_server_is_private_unless_somebody_is_listed(estate: Estate) -> None:
    network = estate.one(CLUSTER)["vpcConfig"]

    assert network["endpointPrivateAccess"] is True
    assert network["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in network


def test_the_api_server_is_public_for_listed_ranges_alone(
    estates: dict[str, Estate], new_engine: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.infra.foundation.answers import ANSWERS
    from tests.infra.foundation.conftest import program

    office = estates["dev"].aws.model_copy(update={"api_access": ("192.0.2.0/28",)})
    opened: Environment = estates["dev"].environment.model_copy(update={"aws": office})
    monkeypatch.setattr(environment, "load", lambda name: opened)
    engine = new_engine(answers=ANSWERS)
    engine.run(program, stack="dev")

    (cluster,) = engine.of(CLUSTER).values()
    assert cluster["vpcConfig"]["endpointPublicAccess"] is True
    assert cluster["vpcConfig"]["publicAccessCidrs"] == ["192.0.2.0/28"]


def test_secrets_of_the_cluster_are_encrypted_and_everything_is_logged(estate: Estate) -> None:
    cluster = estate.one(CLUSTER)

    assert cluster["encryptionConfig"] == {
        "provider": {"keyArn": "arn:aws:kms:test:keys-cluster"},
        "resources": ["secrets"],
    }
    assert set(cluster["enabledClusterLogTypes"]) == {
        "api", "audit", "authenticator", "controllerManager", "scheduler",
    }  # fmt: skip


def test_a_protected_environment_keeps_its_cluster(estate: Estate) -> None:
    assert estate.one(CLUSTER)["deletionProtection"] is estate.environment.protected


def test_rights_come_from_access_entries_and_the_creator_has_none(estate: Estate) -> None:
    access = estate.one(CLUSTER)["accessConfig"]

    assert access == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }


def test_the_deploy_role_and_the_listed_people_administer_the_cluster(estate: Estate) -> None:
    found = estate.engine.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    prefix = f"arn:aws:iam::{estate.aws.account}:role"

    assert {one["principalArn"] for one in found.values()} == {
        f"{prefix}/modelyard-{estate.environment.name}-deploy",
        *estate.aws.admins,
    }
    assert {one["policyArn"] for one in found.values()} == {ADMIN}


def test_whoever_ships_models_gets_a_group_and_no_policy(estate: Estate) -> None:
    entry = estate.one("aws:eks/accessEntry:AccessEntry", "github-roles-ship-entry")

    assert entry["kubernetesGroups"] == ["modelyard:shippers"]
    policies = estate.engine.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation").values()
    assert entry["principalArn"] not in {one["principalArn"] for one in policies}


def test_every_addon_has_the_version_of_the_known_good_set(estate: Estate) -> None:
    known = tables.sets().sets[estate.aws.versions]
    found = {one["addonName"]: one["addonVersion"] for one in estate.engine.of(ADDON).values()}

    assert found == known.addons
    assert estate.one(CLUSTER)["version"] == known.kubernetes


def test_pods_get_addresses_of_their_own_range_in_their_zone(estate: Estate) -> None:
    addon = estate.one(ADDON, "eks-node-addons-vpc-cni")
    settings = json.loads(addon["configurationValues"])

    assert settings["env"]["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"] == "true"
    assert settings["env"]["ENABLE_PREFIX_DELEGATION"] == "true"
    assert settings["eniConfig"]["subnets"] == {
        f"name-of-{zone}": {"id": f"network-pods-{number}-id", "securityGroups": ["sg-cluster"]}
        for number, zone in enumerate(estate.aws.zones, 1)
    }


def test_network_policies_are_enforced(estate: Estate) -> None:
    addon = estate.one(ADDON, "eks-node-addons-vpc-cni")

    assert json.loads(addon["configurationValues"])["enableNetworkPolicy"] == "true"


def test_addons_get_their_rights_by_pod_identity(estate: Estate) -> None:
    found = {
        one["addonName"]: one["podIdentityAssociations"][0]["serviceAccount"]
        for one in estate.engine.of(ADDON).values()
        if "podIdentityAssociations" in one
    }

    assert found == {"vpc-cni": "aws-node", "aws-ebs-csi-driver": "ebs-csi-controller-sa"}


def test_every_volume_of_the_account_is_encrypted_with_our_key(estate: Estate) -> None:
    assert estate.one("aws:ebs/encryptionByDefault:EncryptionByDefault")["enabled"] is True
    default = estate.one("aws:ebs/defaultKmsKey:DefaultKmsKey")
    assert default["keyArn"] == "arn:aws:kms:test:keys-disks"
