"""The offline AWS plugin under the real engine: a graph with its diffs, and not one call."""

import json
from pathlib import Path

import pytest

from ci.pipeline import plugins
from ci.pipeline.properties import UNKNOWN, shown
from tests.infra.plugins.pulumi_cli import Engine

pytestmark = pytest.mark.apiserver  # not the server, but the built engine

PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

account = aws.Provider(
    "account",
    region="us-west-2",
    allowed_account_ids=["111122223333"],
    default_tags=aws.ProviderDefaultTagsArgs(tags={"modelyard:environment": "dev"}),
)
on = pulumi.ResourceOptions(provider=account)
key = aws.kms.Key("key", enable_key_rotation=True, opts=on)
bucket = aws.s3.Bucket("bucket", bucket="artifacts", opts=on)
aws.s3.BucketPublicAccessBlock("closed", bucket=bucket.id, block_public_acls=True, opts=on)
cluster = aws.eks.Cluster(
    "cluster",
    name="dev",
    role_arn="arn:aws:iam::111122223333:role/cluster",
    vpc_config=aws.eks.ClusterVpcConfigArgs(subnet_ids=["subnet-1"], endpoint_public_access=False),
    opts=on,
)
group = cluster.vpc_config.apply(lambda found: found.cluster_security_group_id)
aws.vpc.SecurityGroupIngressRule(
    "rule", security_group_id=group, ip_protocol="tcp", from_port=443, to_port=443, opts=on
)
database = aws.rds.Instance(
    "database",
    instance_class="db.t4g.medium",
    password=pulumi.Output.secret("hunter2"),
    opts=on,
)
pulumi.export("name", cluster.name)
pulumi.export("arn", key.arn)
pulumi.export("group", group)
"""


@pytest.fixture
def offline(engine: Engine) -> Engine:
    """An engine that has the offline plugin, and credentials that nobody may use."""
    plugins.offline_aws(Path(engine.variables["PULUMI_HOME"]))
    engine.variables |= {
        # Were anything called, it would be here, where nobody listens.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nobody",
    }
    engine.program(PROGRAM)
    return engine


def inputs(engine: Engine) -> dict[str, dict[str, object]]:
    """Inputs of each resource that the last preview would create."""
    lines = (engine.folder.parent / "events.jsonl").read_text().splitlines()
    steps = [json.loads(line).get("resourcePreEvent", {}).get("metadata", {}) for line in lines]
    return {
        step["urn"].rpartition("::")[2]: step["new"]["inputs"]
        for step in steps
        if step.get("op") == "create"
    }


def test_a_preview_shows_the_whole_graph_without_credentials(offline: Engine) -> None:
    assert offline.preview().counts() == {"create": 8}
    assert inputs(offline)["cluster"]["vpcConfig"] == {
        "subnetIds": ["subnet-1"],
        "endpointPublicAccess": False,
    }


def test_what_aws_would_answer_is_unknown_and_not_invented(offline: Engine) -> None:
    offline.preview()
    found = inputs(offline)

    assert shown(found["closed"]["bucket"], "bucket") == UNKNOWN
    # Part of an object that the program gives and AWS completes.
    assert shown(found["rule"]["securityGroupId"], "securityGroupId") == UNKNOWN


def test_outputs_that_follow_from_inputs_are_told_and_the_others_are_not(offline: Engine) -> None:
    output = offline.preview("--diff").output

    assert 'name : "dev"' in output
    assert "arn  : [unknown]" in output
    assert "group: [unknown]" in output


def test_a_secret_input_stays_secret(offline: Engine) -> None:
    result = offline.preview("--diff")

    assert "hunter2" not in result.output
    assert "hunter2" not in str(result.events)


def test_nothing_can_be_made_with_it(offline: Engine) -> None:
    result = offline.up(check=False)

    assert result.code != 0
    assert "cannot be created offline. Offline there is no AWS" in result.output
    made = [entry["type"] for entry in offline.state()["resources"]]
    assert not [kind for kind in made if kind.startswith("aws:")]


def test_what_asks_an_account_is_refused_by_name(offline: Engine) -> None:
    offline.program("import pulumi_aws as aws; aws.get_caller_identity()")

    result = offline.preview(check=False)

    assert result.code != 0
    assert "getCallerIdentity asks an AWS account" in result.output
