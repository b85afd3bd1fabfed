"""Rights: nobody gets everything, and each role of CI gets what its work needs."""

import json
from typing import Any

import pytest

from infra.foundation import place, rights
from infra.foundation.place import Place
from tests.infra.foundation.conftest import Estate

ROLE = "aws:iam/role:Role"
# Actions for which AWS knows no resource, so that naming one is impossible.
UNBOUND = {
    "ecr:GetAuthorizationToken",
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:GetInstanceTypesFromInstanceRequirements",
}


def trust(estate: Estate, role: str) -> dict[str, Any]:
    (statement,) = json.loads(estate.one(ROLE, role)["assumeRolePolicy"])["Statement"]
    found: dict[str, Any] = statement
    return found


def test_no_role_may_do_everything_of_a_service_or_of_all(estate: Estate) -> None:
    for name, statement in estate.statements():
        for action in statement["Action"]:
            service, _, verb = action.partition(":")
            assert service != "*", name
            assert verb != "*", name


def test_a_right_to_every_resource_is_one_that_has_none(estate: Estate) -> None:
    for name, statement in estate.statements():
        if "*" in statement["Resource"]:
            assert set(statement["Action"]) <= UNBOUND, name


def test_no_policy_of_aws_that_opens_the_account_is_attached(estate: Estate) -> None:
    attached = estate.engine.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")

    for one in attached.values():
        assert "Administrator" not in one["policyArn"]
        assert "FullAccess" not in one["policyArn"]


def test_pull_requests_of_the_repository_may_preview(estate: Estate) -> None:
    statement = trust(estate, "github-roles-preview-role")
    condition = statement["Condition"]["StringEquals"]

    assert (
        condition["token.actions.githubusercontent.com:sub"]
        == "repo:example/modelyard:pull_request"
    )
    assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]


def test_only_the_main_branch_may_ship(estate: Estate) -> None:
    condition = trust(estate, "github-roles-ship-role")["Condition"]["StringEquals"]

    assert condition["token.actions.githubusercontent.com:sub"] == (
        "repo:example/modelyard:ref:refs/heads/main"
    )


def actions(statements: list[dict[str, Any]]) -> set[str]:
    return {
        action
        for statement in statements
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }


def test_a_preview_reads_the_state_and_nothing_of_the_account(estate: Estate) -> None:
    found = [one for name, one in estate.statements() if name == "github-roles-preview-rights"]

    assert actions(found) == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt", "kms:DescribeKey"}


def test_who_ships_writes_the_state_of_models_and_their_images_alone(estate: Estate) -> None:
    found = [one for name, one in estate.statements() if name == "github-roles-ship-rights"]
    writes = [one for one in found if {"s3:PutObject", "ecr:PutImage"} & set(one["Action"])]

    assert len(writes) == 2
    for one in writes:
        assert all("models/" in resource for resource in one["Resource"])
    assert not [action for action in actions(found) if action.startswith(("iam:", "ec2:", "rds:"))]


@pytest.fixture
def somewhere(prod: Estate) -> Place:
    return place.of(prod.environment, prod.aws)


def test_who_deploys_makes_roles_of_the_environment_alone(somewhere: Place) -> None:
    for statement in rights.deploy(somewhere):
        names = [action for action in statement["Action"] if action.startswith("iam:")]
        if names and names != ["iam:CreateServiceLinkedRole"]:
            assert all(
                "role/modelyard-prod-" in one or one == rights.provider(somewhere)
                for one in statement["Resource"]
            )


def test_who_deploys_gets_no_further_rights_from_itself(somewhere: Place) -> None:
    denied = [one for one in rights.deploy(somewhere) if one["Effect"] == "Deny"]

    assert "iam:PutRolePolicy" in denied[0]["Action"]
    assert denied[0]["Resource"] == ["arn:aws:iam::777788889999:role/modelyard-prod-deploy"]
    assert "s3:DeleteBucket" in denied[1]["Action"]
    assert denied[1]["Resource"] == ["arn:aws:s3:::modelyard-prod-state-777788889999"]


def test_who_deploys_passes_roles_to_the_services_that_need_them(somewhere: Place) -> None:
    (passing,) = [one for one in rights.deploy(somewhere) if one["Action"] == ["iam:PassRole"]]

    assert passing["Condition"]["StringEquals"]["iam:PassedToService"] == [
        "ec2.amazonaws.com",
        "eks.amazonaws.com",
        "pods.eks.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
    ]


def test_no_right_to_deploy_is_a_whole_service_or_outside_the_region(somewhere: Place) -> None:
    for statement in rights.deploy(somewhere):
        assert not [action for action in statement["Action"] if action.endswith(":*")]
        if statement["Resource"] == ["*"]:
            assert statement["Condition"] == {
                "StringEquals": {"aws:RequestedRegion": somewhere.region}
            }


def test_the_autoscaler_changes_pools_of_its_own_cluster_alone(estate: Estate) -> None:
    found = [
        one
        for name, one in estate.statements()
        if name == "eks-autoscaler-rights" and "autoscaling:SetDesiredCapacity" in one["Action"]
    ]

    (statement,) = found
    owned = f"aws:ResourceTag/kubernetes.io/cluster/modelyard-{estate.environment.name}"
    assert statement["Condition"] == {"StringEquals": {owned: "owned"}}


def test_pods_assume_roles_by_pod_identity_alone(estate: Estate) -> None:
    for name in ("eks-cni-role", "eks-disk-driver-role", "eks-autoscaler-role"):
        assert trust(estate, name)["Principal"] == {"Service": "pods.eks.amazonaws.com"}
