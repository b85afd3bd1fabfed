"""The policy pack under the real engine: what breaks a rule fails preview and `up`."""

import json
from pathlib import Path

import pytest

from ci.pipeline import plugins, workplace
from infra.policy.accounts import TAGS
from tests.infra.plugins.conftest import engine, installed
from tests.infra.plugins.pulumi_cli import Engine
from tests.infra.policy.cases import ALLOWED, REFUSED, Case

__all__ = ["engine", "installed"]

pytestmark = pytest.mark.apiserver  # not the server, but the built engine

PROGRAM = """
import json
import pulumi
import pulumi_kubernetes as kubernetes

cluster = kubernetes.Provider("cluster", kubeconfig={kubeconfig!r})
labels = {{"app": "case"}}
kubernetes.apps.v1.Deployment(
    "case",
    metadata={{"name": "case", "namespace": "models"}},
    spec={{
        "selector": {{"match_labels": labels}},
        "template": {{"metadata": {{"labels": labels}}, "spec": json.loads({pod!r})}},
    }},
    opts=pulumi.ResourceOptions(provider=cluster),
)
"""


def program(engine: Engine, tmp_path: Path, case: Case) -> None:
    """A Deployment of a case's pod, for a cluster that is not there yet."""
    text = PROGRAM.format(kubeconfig=str(tmp_path / "none"), pod=json.dumps(case.pod()))
    engine.program(text)
    engine.variables |= workplace.guarded()


@pytest.mark.parametrize(
    "rule", ["image-by-digest", "bounded-resources", "probed", "confined", "gpus-in-gpu-pools"]
)
def test_a_resource_that_breaks_a_rule_fails_the_preview(
    engine: Engine, tmp_path: Path, rule: str
) -> None:
    program(engine, tmp_path, next(case for case in REFUSED if case.rule == rule))

    result = engine.preview(check=False)

    assert result.code != 0
    broken = [event["policyEvent"] for event in result.events if "policyEvent" in event]
    assert {event["policyName"] for event in broken} == {rule}
    assert {event["enforcementLevel"] for event in broken} == {"mandatory"}
    assert f"{rule}  (kubernetes:apps/v1:Deployment: case)" in result.output


def test_a_resource_that_keeps_all_rules_passes_the_preview(engine: Engine, tmp_path: Path) -> None:
    program(engine, tmp_path, ALLOWED[0])

    result = engine.preview()

    assert result.counts()["create"] == 3
    assert [event for event in result.events if "policyEvent" in event] == []


def test_up_stops_before_it_makes_what_breaks_a_rule(engine: Engine, tmp_path: Path) -> None:
    program(engine, tmp_path, REFUSED[0])

    result = engine.up(check=False)

    assert result.code != 0
    assert "image-by-digest" in result.output
    assert "none does not exist" not in result.output, "it went as far as asking the cluster"
    made = {entry["type"] for entry in engine.state()["resources"]}
    assert "kubernetes:apps/v1:Deployment" not in made


ACCOUNT = """
import pulumi
import pulumi_aws as aws

tags = {tags!r}
account = aws.Provider(
    "account",
    region="us-west-2",
    default_tags=aws.ProviderDefaultTagsArgs(tags=tags) if tags else None,
)
on = pulumi.ResourceOptions(provider=account)
bucket = aws.s3.Bucket("bucket", opts=on)
other = aws.s3.Bucket("other", opts=on)
for one, name in ((bucket, "bucket"), (other, "other")):
    if name not in {open!r}:
        aws.s3.BucketPublicAccessBlock(
            f"{{name}}-closed",
            bucket=one.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=on,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{{name}}-encryption",
            bucket=one.id,
            rules=[
                {{"apply_server_side_encryption_by_default": {{"sse_algorithm": "aws:kms"}}}}
            ],
            opts=on,
        )
"""


def policies_broken(engine: Engine, *, tags: dict[str, str], open_: list[str]) -> set[str]:
    """Policies that a preview of two buckets breaks, without an account."""
    plugins.offline_aws(Path(engine.variables["PULUMI_HOME"]))
    engine.variables |= workplace.guarded()
    engine.program(ACCOUNT.format(tags=tags, open=open_))
    result = engine.preview(check=False)
    found = {
        event["policyEvent"]["policyName"] for event in result.events if "policyEvent" in event
    }
    assert (result.code != 0) is bool(found), result.output
    return found


def test_buckets_with_tags_and_companions_pass_the_preview(engine: Engine) -> None:
    assert policies_broken(engine, tags=dict.fromkeys(TAGS, "x"), open_=[]) == set()


def test_a_bucket_without_its_own_block_and_key_fails_the_preview(engine: Engine) -> None:
    found = policies_broken(engine, tags=dict.fromkeys(TAGS, "x"), open_=["other"])

    assert found == {"buckets-closed", "buckets-encrypted"}


def test_a_provider_without_tags_for_costs_fails_the_preview(engine: Engine) -> None:
    assert policies_broken(engine, tags={}, open_=[]) == {"cost-tags"}
