"""Where data lie: encrypted, versioned, not public, kept; and no secret in any state."""

import json

from tests.infra.foundation.conftest import Estate

REPOSITORY = "aws:ecr/repository:Repository"
INSTANCE = "aws:rds/instance:Instance"


def test_there_is_a_repository_for_every_model_and_platform_image(estate: Estate) -> None:
    names = {one["name"] for one in estate.engine.of(REPOSITORY).values()}

    assert {f"models/{model}" for model in estate.aws.registries.models} <= names
    assert {"modelyard/traefik", "modelyard/prometheus"} <= names


def test_tags_never_move_and_every_push_is_scanned(estate: Estate) -> None:
    for name, one in estate.engine.of(REPOSITORY).items():
        assert one["imageTagMutability"] == "IMMUTABLE", name
        assert one["imageScanningConfiguration"] == {"scanOnPush": True}, name
        assert one["encryptionConfigurations"] == [
            {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:test:keys-data"}
        ], name
        assert one["forceDelete"] is False, name


def test_old_images_go(estate: Estate) -> None:
    policies = estate.engine.of("aws:ecr/lifecyclePolicy:LifecyclePolicy")

    assert len(policies) == len(estate.engine.of(REPOSITORY))
    for one in policies.values():
        untagged, newest = json.loads(one["policy"])["rules"]
        assert untagged["selection"]["tagStatus"] == "untagged"
        assert newest["selection"]["countNumber"] == estate.aws.registries.keep_images


def test_public_registries_are_reached_through_a_cache(estate: Estate) -> None:
    rules = estate.engine.of("aws:ecr/pullThroughCacheRule:PullThroughCacheRule").values()
    prefixes = {one["ecrRepositoryPrefix"] for one in rules}

    assert {one["upstreamRegistryUrl"] for one in rules} == set(estate.aws.registries.caches)
    templates = estate.engine.of("aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate")
    assert {one["prefix"] for one in templates.values()} == prefixes


def test_artifacts_are_versioned_encrypted_and_never_public(estate: Estate) -> None:
    block = estate.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    (rule,) = estate.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )["rules"]

    assert all(
        block[key]
        for key in (
            "blockPublicAcls",
            "blockPublicPolicy",
            "ignorePublicAcls",
            "restrictPublicBuckets",
        )
    )
    versioning = estate.one("aws:s3/bucketVersioning:BucketVersioning")
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}
    assert rule["applyServerSideEncryptionByDefault"] == {
        "kmsMasterKeyId": "arn:aws:kms:test:keys-data",
        "sseAlgorithm": "aws:kms",
    }


def test_artifacts_are_given_over_tls_alone(estate: Estate) -> None:
    policy = json.loads(estate.one("aws:s3/bucketPolicy:BucketPolicy")["policy"])
    (statement,) = policy["Statement"]

    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        "arn:aws:s3:test:artifacts-bucket",
        "arn:aws:s3:test:artifacts-bucket/*",
    ]


def test_replaced_artifacts_go_after_the_days_of_the_file(estate: Estate) -> None:
    (rule,) = estate.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")[
        "rules"
    ]

    assert rule["noncurrentVersionExpiration"] == {
        "noncurrentDays": estate.aws.artifacts.old_versions_days
    }
    assert "expiration" not in rule
    assert len(rule["transitions"]) == (2 if estate.aws.artifacts.archive_days else 1)


def test_databases_are_as_the_file_says(estate: Estate) -> None:
    found = {one["dbName"]: one for one in estate.engine.of(INSTANCE).values()}

    for wanted in estate.aws.databases:
        made = found[wanted.use]
        assert made["engineVersion"] == wanted.version
        assert made["instanceClass"] == wanted.instance_class
        assert (made["allocatedStorage"], made["maxAllocatedStorage"]) == (
            wanted.gib,
            wanted.max_gib,
        )
        assert made["multiAz"] is wanted.multi_az
        assert made["backupRetentionPeriod"] == wanted.backup_days


def test_databases_are_encrypted_private_and_speak_tls_alone(estate: Estate) -> None:
    for name, one in estate.engine.of(INSTANCE).items():
        assert one["storageEncrypted"] is True, name
        assert one["kmsKeyId"] == "arn:aws:kms:test:keys-data", name
        assert one["publiclyAccessible"] is False, name
    for group in estate.engine.of("aws:rds/parameterGroup:ParameterGroup").values():
        (parameter,) = group["parameters"]
        assert (parameter["name"], parameter["value"]) == ("rds.force_ssl", "1")
    for subnets in estate.engine.of("aws:rds/subnetGroup:SubnetGroup").values():
        assert subnets["subnetIds"] == [f"network-data-{zone}-id" for zone in (1, 2, 3)]


def test_databases_take_connections_of_nodes_and_pods_alone(estate: Estate) -> None:
    rules = estate.engine.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    found = [rule for name, rule in rules.items() if name.startswith("databases-")]

    assert len(found) == len(estate.aws.databases)
    for rule in found:
        assert rule["referencedSecurityGroupId"] == "sg-cluster"
        assert (rule["fromPort"], rule["toPort"]) == (5432, 5432)
        assert "cidrIpv4" not in rule


def test_a_protected_database_is_not_deleted_and_leaves_a_snapshot(estate: Estate) -> None:
    for one in estate.engine.of(INSTANCE).values():
        assert one["deletionProtection"] is estate.environment.protected
        assert one["skipFinalSnapshot"] is False
        assert one["deleteAutomatedBackups"] is False


def test_no_password_of_a_database_is_ever_in_the_state(estate: Estate) -> None:
    for one in estate.engine.of(INSTANCE).values():
        assert one["manageMasterUserPassword"] is True
        assert not {"password", "passwordWo"} & set(one)


def test_secrets_are_places_without_values(estate: Estate) -> None:
    secrets = estate.engine.of("aws:secretsmanager/secret:Secret")

    assert {one["name"].rsplit("/", 1)[-1] for one in secrets.values()} == {
        "token", "certificates", "signing",
    }  # fmt: skip
    assert {one["kmsKeyId"] for one in secrets.values()} == {"arn:aws:kms:test:keys-data"}
    types = {one.type for one in estate.engine.registered}
    assert not [kind for kind in types if "secretVersion" in kind or "random" in kind.lower()]


def test_somebody_hears_of_costs_before_and_after_they_pass_the_budget(estate: Estate) -> None:
    budget = estate.one("aws:budgets/budget:Budget")
    notices = [(one["notificationType"], one["threshold"]) for one in budget["notifications"]]

    assert budget["limitAmount"] == str(estate.aws.budget.usd_a_month)
    assert notices == [
        *(("ACTUAL", share) for share in estate.aws.budget.alerts_percent),
        ("FORECASTED", 100),
    ]
    for one in budget["notifications"]:
        assert one["subscriberEmailAddresses"] == list(estate.aws.budget.emails)
