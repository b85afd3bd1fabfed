"""The state backend and the deploy role, made in an account that moto plays."""

import json
from typing import Any

import boto3
import pytest

from ci.aws import account, bootstrap
from ci.report import silent
from infra import environment
from infra.environment import Environment
from infra.foundation import grants, rights
from infra.foundation.place import Place
from infra.refusal import Refusal


def run(env: Environment) -> list[str]:
    return bootstrap.run(env, silent)


def test_everything_is_made_once_and_a_second_run_changes_nothing(
    session: boto3.Session, dev: Environment
) -> None:
    first = run(dev)

    assert len(first) >= 9
    assert run(dev) == []


def test_the_state_is_versioned_encrypted_with_our_key_and_not_public(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    run(dev)
    s3, kms = session.client("s3"), session.client("kms")
    bucket = here.state_bucket
    key = kms.describe_key(KeyId=here.state_key)["KeyMetadata"]

    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    assert len(block) == 4
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key["Arn"],
    }
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True


def test_the_state_is_given_over_tls_alone(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    run(dev)
    text = session.client("s3").get_bucket_policy(Bucket=here.state_bucket)["Policy"]
    (statement,) = json.loads(text)["Statement"]

    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert f"arn:aws:s3:::{here.state_bucket}/*" in statement["Resource"]


def test_no_bucket_of_the_account_can_be_made_public(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    run(dev)
    found = session.client("s3control").get_public_access_block(AccountId=here.account)

    assert all(found["PublicAccessBlockConfiguration"].values())


def test_what_somebody_loosened_is_put_right(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    run(dev)
    s3 = session.client("s3")
    s3.put_bucket_versioning(
        Bucket=here.state_bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    s3.delete_bucket_policy(Bucket=here.state_bucket)

    assert run(dev) == [f"versions of {here.state_bucket}", f"TLS only of {here.state_bucket}"]


def test_an_interrupted_run_is_completed_by_the_next(
    session: boto3.Session, dev: Environment, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ci.aws import state

    def stop(*_: object) -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state, "bucket", stop)
        with pytest.raises(KeyboardInterrupt):
            run(dev)

    made = run(dev)

    assert f"bucket {here.state_bucket}" in made
    assert f"key {here.state_key}" not in made
    assert len(session.client("kms").list_keys()["Keys"]) == 1


def test_another_account_is_refused_before_anything_is_made(
    session: boto3.Session, dev: Environment
) -> None:
    assert dev.aws is not None
    other = dev.model_copy(update={"aws": dev.aws.model_copy(update={"account": "999999999999"})})

    with pytest.raises(
        Refusal, match=r"aws.account is '999999999999'.*open the account 111122223333"
    ):
        run(other)

    assert session.client("s3").list_buckets()["Buckets"] == []
    assert session.client("kms").list_keys()["Keys"] == []


def test_an_environment_without_an_account_is_refused(local: Environment) -> None:
    with pytest.raises(
        Refusal, match=r"cluster.substrate is 'hosts': the environment has no account"
    ):
        run(local)


@pytest.fixture
def local() -> Environment:
    from infra import environment

    return environment.load("local")


def test_without_credentials_the_way_to_log_in_is_said(
    dev: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))

    with pytest.raises(Refusal, match=r"AWS credentials is None.*opens the account 111122223333"):
        account.session(dev)


def test_a_deploy_role_that_nobody_could_assume_is_refused(
    session: boto3.Session, dev: Environment
) -> None:
    assert dev.aws is not None
    alone = dev.model_copy(
        update={"aws": dev.aws.model_copy(update={"github": None, "admins": ()})}
    )

    with pytest.raises(Refusal, match="nobody could assume the deploy role"):
        run(alone)


def role(session: boto3.Session) -> dict[str, Any]:
    found: dict[str, Any] = session.client("iam").get_role(RoleName="modelyard-dev-deploy")["Role"]
    return found


def test_only_the_guarded_environment_of_github_may_deploy(
    session: boto3.Session, dev: Environment
) -> None:
    run(dev)
    (statement,) = role(session)["AssumeRolePolicyDocument"]["Statement"]

    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    assert statement["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:example/modelyard:environment:dev",
    }
    providers = session.client("iam").list_open_id_connect_providers()
    assert [one["Arn"] for one in providers["OpenIDConnectProviderList"]] == [
        "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
    ]


def test_listed_people_may_deploy_too(session: boto3.Session, dev: Environment) -> None:
    assert dev.aws is not None
    people = ("arn:aws:iam::111122223333:role/platform",)
    run(dev.model_copy(update={"aws": dev.aws.model_copy(update={"admins": people})}))

    statements = role(session)["AssumeRolePolicyDocument"]["Statement"]

    assert statements[1] == grants.people(people)


def test_the_deploy_role_has_exactly_its_rights_and_they_fit_into_a_role(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    run(dev)
    found = session.client("iam").get_role_policy(
        RoleName="modelyard-dev-deploy", PolicyName="deploy"
    )["PolicyDocument"]

    assert found == grants.document(*rights.deploy(here))
    # AWS counts the characters of all inline policies of a role, without white space.
    assert len(json.dumps(found, separators=(",", ":"))) < 10_240


def test_changed_rights_are_corrected(
    session: boto3.Session, dev: Environment, here: Place
) -> None:
    run(dev)
    session.client("iam").put_role_policy(
        RoleName="modelyard-dev-deploy",
        PolicyName="deploy",
        PolicyDocument=json.dumps(grants.document(grants.allow(["s3:ListBucket"], ["*"]))),
    )

    assert run(dev) == ["rights of modelyard-dev-deploy"]


def test_roles_that_a_key_names_are_there_before_it(
    session: boto3.Session, dev: Environment
) -> None:
    run(dev)

    arn = session.client("iam").get_role(RoleName="AWSServiceRoleForAutoScaling")["Role"]["Arn"]
    assert arn == (
        "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/"
        "AWSServiceRoleForAutoScaling"
    )


def test_plain_pulumi_is_told_where_the_state_is(here: Place) -> None:
    assert here.state_variables == {
        "PULUMI_BACKEND_URL": "s3://modelyard-dev-state-111122223333?region=us-west-2&awssdk=v2",
        "PULUMI_SECRETS_PROVIDER": "awskms://alias/modelyard-dev-state?region=us-west-2",
        "AWS_REGION": "us-west-2",
    }


def test_an_account_that_another_environment_has_is_refused_before_it_is_asked(
    dev: Environment,
) -> None:
    assert dev.aws is not None
    prod = environment.load("prod")
    assert prod.aws is not None
    shared = dev.aws.model_copy(update={"account": prod.aws.account})

    with pytest.raises(Refusal, match=r"environment prod has this account"):
        run(dev.model_copy(update={"aws": shared}))
