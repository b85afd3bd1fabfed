"""Records the previews of this folder on a real engine and API server, and renders them.

`.venv/bin/python -m tests.ci.pipeline.previews.record`, when a change is meant to change them. It
needs the built engine and Kubernetes. What reviewers see then stands in the diff of the .md files.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from ci.pipeline import markdown, plugins, workplace
from ci.pipeline.events import Run
from ci.pipeline.preview import Preview
from tests.infra.plugins import apiserver, pulumi_cli
from tests.infra.policy.cases import GOOD

HERE = Path(__file__).parent
NAMES = ("creations", "changes", "refused", "nothing", "account")
KEPT = ("resourcePreEvent", "resOutputsEvent", "policyEvent", "summaryEvent")

HEAD = """
import json
import pulumi
import pulumi_kubernetes as kubernetes

cluster = kubernetes.Provider("cluster", kubeconfig={kubeconfig!r})
options = pulumi.ResourceOptions(provider=cluster)
good = {pod!r}


def meta(name):
    return {{
        "name": name,
        "namespace": "models",
        "annotations": {{"pulumi.com/skipAwait": "true"}},
    }}


def deployment(name, selector=None, image=None, env=None, **spec):
    pod = json.loads(good)
    labels = {{"app": name, "version": "1"}}
    pod["containers"][0] |= {{"image": image}} if image else {{}}
    pod["containers"][0] |= {{"env": env}} if env else {{}}
    template = {{"metadata": {{"labels": labels}}, "spec": pod}}
    spec |= {{"selector": {{"match_labels": selector or {{"app": name}}}}, "template": template}}
    kubernetes.apps.v1.Deployment(name, metadata=meta(name), spec=spec, opts=options)


def settings(name, **data):
    kubernetes.core.v1.ConfigMap(name, metadata=meta(name), data=data, opts=options)


def secret(name, text):
    data = {{"token": pulumi.Output.secret(text)}}
    kubernetes.core.v1.Secret(name, metadata=meta(name), string_data=data, opts=options)
"""
BEFORE = """
deployment("app", replicas=2)
deployment("moved")
settings("settings", mode="slow", level="1", old="x")
settings("leftover", a="b")
settings("kept", a="b")
settings("address-book", url=pulumi.Output.secret("https://user:hunter2-old@host"))
secret("token", "hunter2-old")
"""
AFTER = """
image = "registry.test/app@sha256:" + "b" * 64
deployment("app", replicas=3, image=image, env=[{"name": "MODE", "value": "fast"}])
deployment("moved", selector={"version": "1"})
settings("settings", mode="fast | `quick` ```", level="1", new="line one\\nline two\\n")
settings("kept", a="b")
settings("address-book", url=pulumi.Output.secret("https://user:hunter2-new@host"))
secret("token", "hunter2-new")
front = kubernetes.core.v1.Service(
    "front",
    metadata=meta("front"),
    spec={"selector": {"app": "app"}, "ports": [{"port": 80}]},
    opts=options,
)
settings("address", ip=front.spec.cluster_ip, password="forgotten to be marked")
"""
ACCOUNT = """
import pulumi
import pulumi_aws as aws

tags = {"modelyard:environment": "dev", "modelyard:component": "x", "modelyard:managed-by": "x"}
account = aws.Provider("account", default_tags=aws.ProviderDefaultTagsArgs(tags=tags))
on = pulumi.ResourceOptions(provider=account)
key = aws.kms.Key("key", enable_key_rotation=True, opts=on)
cluster = aws.eks.Cluster(
    "cluster",
    role_arn="arn:aws:iam::111122223333:role/cluster",
    vpc_config={"subnet_ids": ["subnet-1"], "endpoint_public_access": False},
    encryption_config={"resources": ["secrets"], "provider": {"key_arn": key.arn}},
    opts=on,
)
for name, capacity in (("gpu", "ON_DEMAND"), ("spot", "SPOT")):
    aws.eks.NodeGroup(
        name,
        cluster_name=cluster.name,
        node_role_arn="arn:aws:iam::111122223333:role/node",
        subnet_ids=["subnet-1"],
        instance_types=["g6.xlarge"],
        capacity_type=capacity,
        scaling_config={"min_size": 2, "desired_size": 2, "max_size": 4},
        opts=on,
    )
"""
REFUSED = AFTER + 'deployment("bad", image="app:latest")\n'


def main() -> None:
    """Record and render all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, events in _recorded(Path(scratch)):
            lines = [json.dumps(event, sort_keys=True) for event in events]
            (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
            (HERE / f"{name}.md").write_text(rendered(name))


def read(name: str) -> Preview:
    """A recorded preview."""
    run = Run(total=0, report=lambda *_: None)
    for line in (HERE / f"{name}.jsonl").read_text().splitlines():
        run.take(json.loads(line))
    return Preview("test", {"platform": run.changes}, region="us-east-1")


def rendered(name: str) -> str:
    """The comment of a recorded preview."""
    return markdown.comment(read(name), "preview-test")


def _recorded(folder: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    found = []
    with apiserver.running(folder) as server:
        server.namespace("models")
        engine = pulumi_cli.Engine(folder / "engine", pulumi_cli.install(folder))
        engine.variables |= workplace.guarded()
        plugins.offline_aws(Path(engine.variables["PULUMI_HOME"]))
        head = HEAD.format(kubeconfig=str(server.kubeconfig), pod=json.dumps(GOOD))

        def preview(name: str, text: str, *, check: bool = True) -> None:
            engine.program(head + text)
            events = engine.preview(check=check).events
            found.append((name, [_slim(event) for event in events if event.keys() & set(KEPT)]))

        preview("creations", BEFORE)
        engine.up()
        preview("nothing", BEFORE)
        preview("changes", AFTER)
        preview("refused", REFUSED, check=False)
    nowhere = pulumi_cli.Engine(folder / "nowhere", engine.variables)
    nowhere.program(ACCOUNT)
    events = nowhere.preview(check=False).events
    found.append(("account", [_slim(event) for event in events if event.keys() & set(KEPT)]))
    return found


def _slim(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what differs from run to run, and without outputs, which are not shown."""
    event = {key: value for key, value in event.items() if key in KEPT}
    for found in event.values():
        found.pop("durationSeconds", None)
        found.pop("PolicyPacks", None)
        for side in ("old", "new"):
            state = (found.get("metadata") or {}).get(side)
            if state:
                found["metadata"][side] = {"inputs": state.get("inputs") or {}}
        if "provider" in str(found.get("metadata", {}).get("type")):
            found["metadata"] |= {"old": None, "new": None}
    return event


if __name__ == "__main__":
    main()
