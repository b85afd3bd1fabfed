"""The role that makes what infra/foundation describes, and who may assume it."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ci.aws import answers
from infra.foundation import grants, rights
from infra.foundation.place import GITHUB, Place
from infra.foundation.settings import Aws


def provider(session: boto3.Session, here: Place, aws: Aws) -> list[str]:
    """Trust in the tokens of GitHub Actions; what they may do, each role says itself."""
    if aws.github is None:
        return []
    client = session.client("iam")
    arn = rights.provider(here)
    known = client.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    if any(one["Arn"] == arn for one in known):
        return []
    # AWS checks GitHub's certificate by its own list of authorities, so there is no thumbprint.
    client.create_open_id_connect_provider(
        Url=f"https://{GITHUB}", ClientIDList=["sts.amazonaws.com"]
    )
    return [f"trust in {GITHUB}"]


def role(session: boto3.Session, here: Place, aws: Aws) -> list[str]:
    """The role, its trust and its rights."""
    client = session.client("iam")
    name = f"{here.prefix}-deploy"
    trusted = []
    if aws.github:
        subject = rights.subject_of_environment(aws.github.repository, aws.github.environment)
        trusted.append(grants.github(rights.provider(here), subject))
    if aws.admins:
        trusted.append(grants.people(aws.admins))
    trust = grants.document(*trusted)
    made = []
    try:
        found = client.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        if found != trust:
            client.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
            made.append(f"who may assume {name}")
    except ClientError as error:
        answers.only(error, "NoSuchEntity")
        client.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description="Makes what infra/foundation describes, and nothing else",
            Tags=[{"Key": "modelyard:environment", "Value": here.environment}],
        )
        made.append(f"role {name}")
    wanted = grants.document(*rights.deploy(here))

    def present() -> Any:
        return client.get_role_policy(RoleName=name, PolicyName="deploy")["PolicyDocument"]

    if answers.unless_absent(present) != wanted:
        text = json.dumps(wanted, separators=(",", ":"))
        client.put_role_policy(RoleName=name, PolicyName="deploy", PolicyDocument=text)
        made.append(f"rights of {name}")
    return made


SERVICES = ("autoscaling.amazonaws.com", "spot.amazonaws.com")
"""AWS makes roles for these at their first use; the key of disks names the first one before."""


def services(session: boto3.Session) -> list[str]:
    """Roles of AWS's own services, where the account has not used them yet."""
    client = session.client("iam")
    made = []
    for service in SERVICES:
        if not client.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"]:
            client.create_service_linked_role(AWSServiceName=service)
            made.append(f"role of {service}")
    return made
