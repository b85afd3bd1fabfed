"""`yard up` of an account: the real engine with state in S3 and secrets under KMS, both moto's.

Nobody's account is touched: the AWS plugin is tests/infra/foundation/simulated_account.py, and the
"cluster" an API server without nodes, on which a thread plays every kubelet.
"""

import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from moto.server import ThreadedMotoServer

from ci.aws import bootstrap
from ci.pipeline import (
    account_images,
    accounts,
    models,
    plugins,
    prediction,
    rollouts,
    stacks,
    survivors,
    up,
    workplace,
)
from ci.pipeline.stacks import StackError
from ci.pipeline.steps import Steps
from ci.report import Report, silent
from ci.toolchain import doctor, provide
from ci.yard.progress import Progress
from infra import contract, environment, places
from infra.contract import Image
from infra.environment import Environment
from infra.foundation import images, place
from infra.models import release
from tests.ci.pipeline.test_canary_on_controller import controller
from tests.infra.foundation import simulated_account
from tests.infra.foundation.simulated_account import journal
from tests.infra.models import samples
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.conftest import server

__all__ = ["server"]

pytestmark = pytest.mark.apiserver

DIGEST = "sha256:" + "d" * 64

RELEASE = samples.release()

# metrics-server does not run here, so the API server would never see its API.
KUBERNETES = """\
from infra.plugins.kubernetes import readiness, server
del readiness._RULES["apiregistration.k8s.io", "APIService"]
server.main()
"""
ACCOUNT = "from tests.infra.foundation.simulated_account import main\nmain()\n"
# Releases of accounts stand in git; these are the test's own.
MODELS = """\
import runpy
from pathlib import Path
from infra.models import release
release.folder = lambda environment: Path({folder!r})
runpy.run_module("infra.models.__main__", run_name="__main__")
"""


class Kubelets(threading.Thread):
    """Says of every pod of the cluster that it is ready."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__()
        self.server, self.stop = server, threading.Event()
        self.faults: list[Exception] = []

    def run(self) -> None:
        try:
            while not self.stop.wait(0.1):
                for pod in self.server.get("/api/v1/pods")["items"]:
                    if pod["status"].get("phase") == "Pending":
                        self._answer_for(pod)
        except Exception as fault:
            self.faults.append(fault)

    def _answer_for(self, pod: dict[str, Any]) -> None:
        where = pod["metadata"]
        path = f"/api/v1/namespaces/{where['namespace']}/pods/{where['name']}/status"
        then = "2026-01-01T00:00:00Z"
        status = {
            "phase": "Running",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": then}
                for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {
                    "name": one["name"],
                    "image": one["image"],
                    "imageID": one["image"],
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": then}},
                }
                for one in pod["spec"]["containers"]
            ],
        }
        # A pod may be deleted while this is on its way.
        self.server.ask("PATCH", path, {"status": status}, content="application/merge-patch+json")


@dataclass
class Account:
    """A prepared account, and how `up` is run in it."""

    env: Environment
    folder: Path
    server: ApiServer
    steps: list[str] = field(default_factory=list)

    def up(self) -> up.Outcome:
        steps = Steps(Progress(io.StringIO()))
        try:
            return up.run(self.env, steps)
        finally:
            self.steps = list(steps.seconds)

    def made(self) -> list[str]:
        return journal(self.folder)

    def breaks_at(self, urn: str | None) -> None:
        broken = self.folder / "broken"
        broken.write_text(urn) if urn else broken.unlink()


@pytest.fixture(scope="module")
def account(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    kubelets = Kubelets(server)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        loaded = _machine(patch, folder, server, moto.get_host_and_port()[1])
        _prepared(loaded)
        kubelets.start()
        yield Account(loaded, folder, server)
        kubelets.stop.set()
        kubelets.join()
    moto.stop()
    assert not kubelets.faults, kubelets.faults


def _machine(patch: pytest.MonkeyPatch, folder: Path, server: ApiServer, port: int) -> Environment:
    """A machine that has the plugins and AWS's command line, with a state folder of its own."""
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "AWS_"))]:
        patch.delenv(name)
    loaded = environment.load("dev").model_copy(update={"supply": "closed"})
    assert loaded.aws is not None
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        patch.setenv(name, "testing")
    patch.setenv("MOTO_ACCOUNT_ID", loaded.aws.account)
    # The engine is another process. What Python asks of other services, moto answers in this one.
    for service in ("S3", "KMS"):
        patch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{port}")
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    patch.setenv(simulated_account.FOLDER, str(folder))
    simulated_account.cluster(
        folder, server.url, server.kubeconfig.parent / "certificates" / "apiserver.crt"
    )
    _command_line(patch, folder, server)
    _plugins(patch)
    _models(patch, folder)
    for part, name in ((doctor, "require"), (provide, "ensure"), (account_images, "require")):
        patch.setattr(part, name, lambda *_: None)
    digests = {
        f"modelyard/{name}": Image(reference=f"{loaded.aws.registry}/{name}:1", digest=DIGEST)
        for name in images.wanted(loaded.aws)
    }
    patch.setattr(account_images, "publish", lambda *_: digests)
    # Else moto, in Python, would take the whole state twice for each of 150 resources.
    for project in ("foundation", "platform"):
        patch.setitem(stacks.SETTINGS["vendor"], project, stacks.ONCE)
    patch.setattr(rollouts, "GATEWAY_S", 0.0)  # there is none
    patch.setattr(prediction, "unseen", lambda facts: f"{facts.gateway.url} is nowhere")
    return loaded


def _command_line(patch: pytest.MonkeyPatch, folder: Path, server: ApiServer) -> None:
    """`aws eks get-token` with a token that the API server takes."""
    user = yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {"token": user["token"]},
    }
    program = folder / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/asked\ncat <<END\n{json.dumps(answer)}\nEND\n'
    )
    program.chmod(0o755)
    patch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def _plugins(patch: pytest.MonkeyPatch) -> None:
    def install(env: Environment, home: Path, *_: object) -> None:
        plugins._launch(home, "aws", ACCOUNT)
        plugins._launch(home, "kubernetes", KUBERNETES)

    patch.setattr(plugins, "require", lambda env: None)
    patch.setattr(plugins, "install", install)


def _models(patch: pytest.MonkeyPatch, folder: Path) -> None:
    releases, program = folder / "releases", folder / "models"
    program.mkdir()
    (program / "Pulumi.yaml").write_text(
        json.dumps(
            {
                "name": workplace.NAMES["models"],
                "runtime": {
                    "name": "python",
                    "options": {"virtualenv": str(places.REPOSITORY / ".venv")},
                },
            }
        )
    )
    (program / "__main__.py").write_text(MODELS.format(folder=str(releases)))
    patch.setitem(workplace.FOLDERS, "models", program)
    patch.setattr(release, "folder", lambda env: releases)


def _prepared(env: Environment) -> None:
    """What `yard bootstrap` makes, and the empty secrets that the real foundation would."""
    assert env.aws is not None
    bootstrap.run(env, silent)
    here = place.of(env, env.aws)
    # moto does not read conditions: it takes "deny what comes without TLS" for "deny".
    boto3.client("s3").delete_bucket_policy(Bucket=here.state_bucket)
    client = boto3.client("secretsmanager", region_name=here.region)
    for name in ("token", "certificates"):
        client.create_secret(Name=f"modelyard/{env.name}/{name}")


@pytest.fixture(scope="module")
def failed(account: Account) -> StackError:
    """A first `up`, which gets no node groups."""
    account.breaks_at("aws:eks/nodeGroup:NodeGroup")
    with pytest.raises(StackError) as found:
        account.up()
    account.breaks_at(None)
    return found.value


@pytest.fixture(scope="module")
def first(
    account: Account, failed: StackError, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[up.Outcome]:
    """The `up` that completes it, with a model whose roll-out Argo's controller drives."""
    release.write(account.env, RELEASE)
    class_ = {"metadata": {"name": "ebs-csi-default-sc"}, "provisioner": "ebs.csi.aws.com"}
    # The EBS add-on makes it.
    account.server.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        class_ | {"volumeBindingMode": "WaitForFirstConsumer"},
    )
    up_models = models.up
    with ExitStack() as running, pytest.MonkeyPatch.context() as patch:

        def with_controller(env: Environment, report: Report) -> stacks.Changes:
            """The platform has made its definitions: now it finds what it looks for."""
            folder = tmp_path_factory.mktemp("controller")
            with pytest.MonkeyPatch.context() as unmarked:
                # Else the next `up` ends it, as what a killed run left behind.
                unmarked.delenv(survivors.VARIABLE)
                running.enter_context(controller(account.server, folder))
            return up_models(env, report)

        patch.setattr(models, "up", with_controller)
        outcome = account.up()
        patch.undo()
        yield outcome


def test_a_failure_half_way_is_told_and_nothing_later_is_begun(
    account: Account, failed: StackError
) -> None:
    assert "simulated: AWS has no capacity for it" in str(failed)
    assert "NodeGroup" in str(failed)
    assert account.steps[-1] == "foundation"
    assert not contract.path("dev").exists()


def test_the_next_up_makes_what_is_missing_and_nothing_twice(
    account: Account, first: up.Outcome
) -> None:
    created = [line for line in account.made() if line.startswith("create")]

    assert len(created) == len(set(created)) > 150
    assert {line.split()[0] for line in account.made()} == {"create"}
    assert [word for word in first.changed if word.startswith("foundation: ")]


def test_the_contract_says_what_the_foundation_told(account: Account, first: up.Outcome) -> None:
    facts = contract.load(account.env)

    assert not facts.promised
    assert facts.api == account.server.url
    assert facts.artifacts is not None
    assert facts.databases.keys() == {"tracking", "events"}
    assert facts.images["modelyard/traefik"].digest == DIGEST
    assert facts.crds.keys() == {"traefik", "rollouts"}


def test_the_kubeconfig_holds_a_command_and_no_secret(account: Account, first: up.Outcome) -> None:
    path = contract.load(account.env).kubeconfig
    (user,) = yaml.safe_load(path.read_text())["users"]

    assert list(user["user"]) == ["exec"]
    assert "token:" not in path.read_text()
    asked = (account.folder / "asked").read_text().splitlines()
    assert set(asked) == {
        "--region us-west-2 eks get-token --cluster-name modelyard-dev --output json"
    }


def test_the_platform_stands_on_the_accounts_cluster(account: Account, first: up.Outcome) -> None:
    deployments = {
        (one["metadata"]["namespace"], one["metadata"]["name"])
        for one in account.server.get("/apis/apps/v1/deployments")["items"]
    }

    assert ("autoscaling", "cluster-autoscaler") in deployments
    assert ("gateway", "traefik") in deployments
    daemons = account.server.get("/apis/apps/v1/namespaces/accelerators/daemonsets")["items"]
    assert {one["metadata"]["name"] for one in daemons} >= {"nvidia-device-plugin-gpu"}


def test_what_this_machine_cannot_see_is_said(first: up.Outcome) -> None:
    assert first.unknown == ["https://models.dev.example.com is nowhere"]
    assert first.answers == {}


def test_the_account_keeps_the_credentials_for_the_next_machine(
    account: Account, first: up.Outcome
) -> None:
    client = boto3.client("secretsmanager", region_name="us-west-2")
    kept = json.loads(client.get_secret_value(SecretId="modelyard/dev/token")["SecretString"])

    token = places.state("dev") / "credentials" / "token"
    assert kept == {"token": token.read_text()}


def test_no_state_of_the_account_lies_on_this_machine(account: Account, first: up.Outcome) -> None:
    assert not list((places.state("dev") / "pulumi").rglob("*.json.bak"))
    keys = [
        one["Key"]
        for one in boto3.client("s3").list_objects_v2(
            Bucket="modelyard-dev-state-111122223333", Prefix=".pulumi/stacks/"
        )["Contents"]
    ]
    assert {f".pulumi/stacks/{name}/dev.json" for name in workplace.NAMES.values()} <= set(keys)
    stack_file = (places.state("dev") / "Pulumi.dev.yaml").read_text()
    assert "secretsprovider: awskms://alias/modelyard-dev-state" in stack_file
    assert "encryptionsalt" not in stack_file


def test_a_release_in_git_becomes_a_service(account: Account, first: up.Outcome) -> None:
    services = account.server.get("/api/v1/namespaces/models/services")["items"]

    assert "digits-stable" in {one["metadata"]["name"] for one in services}


def test_a_second_up_changes_nothing(account: Account, first: up.Outcome) -> None:
    before = account.made()

    assert account.up().changed == []
    assert account.made() == before
    assert account.steps == [
        *("account", "machine", "tools", "foundation", "credentials", "images", "cluster"),
        *("platform", "models", "prediction"),
    ]


def test_another_machine_goes_on_with_the_accounts_state_and_credentials(
    account: Account, first: up.Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    workplace.prepare(account.env)
    assert account.env.aws is not None
    assert accounts.share_credentials(account.env, account.env.aws) == []
    assert accounts.told(account.env).cluster == "modelyard-dev"
