"""One platform on three kinds of cluster: what differs is listed with its reason, and no more.

The same programs run against the recording engine with the contract of a cluster of hosts, of one
in an AWS account, and of one that a team has already and describes by hand.
"""

import copy
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra import contract, environment
from infra.contract import Contract
from infra.environment import Cluster, Environment, Network
from infra.foundation.told import Told
from infra.models import release
from tests.infra import parity
from tests.infra.models import samples
from tests.infra.parity import Explained, Registered
from tests.infra.platform.conftest import build

if TYPE_CHECKING:
    from tests.infra.conftest import Engine

NAME = "parity"
PROJECTS = ("platform", "models")
RELEASE = samples.release()

SHARED = [
    Explained("kubernetes:* registry-*", "the registry is another's: the platform installs none"),
    Explained("kubernetes:* storage-*", "volumes are made by what the cluster has for it"),
    Explained(
        "*: spec.template.spec.nodeSelector.*", "the pool of the platform is called otherwise"
    ),
    Explained("kubernetes:* accelerators-*", "GPUs are not simulated"),
    Explained("kubernetes:* namespaces-registry*", "nothing of ours would stand in it"),
    Explained("kubernetes:* namespaces-storage*", "nothing of ours would stand in it"),
    Explained("pulumi:providers:kubernetes cluster: kubeconfig", "it is another cluster"),
    Explained(
        "*-rollout: spec.template.spec.containers.0.image", "images come from another registry"
    ),
    Explained("kubernetes:core/v1:Secret model-access-pull", "nodes pull by their own right"),
    Explained(
        "kubernetes:core/v1:ServiceAccount model-access-account: imagePullSecrets",
        "nodes pull by their own right",
    ),
    Explained("*-rollout: spec.template.spec.imagePullSecrets", "nodes pull by their own right"),
]
KNOWN = {
    "aws": [
        *SHARED,
        Explained(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy *: spec.*.ipBlock.cidr",
            "ranges of nodes and Services are the environment's",
        ),
        Explained(
            "kubernetes:core/v1:PersistentVolumeClaim monitoring-volume: spec.storageClassName",
            "the class is the one that EBS makes",
        ),
        Explained("kubernetes:* shippers-*", "CI has a role in an account, and a group here"),
        Explained("kubernetes:* gpu-nodes-*", "real GPUs need the vendor's plugin and exporter"),
        Explained("kubernetes:* autoscaler-*", "pools in an account grow and shrink"),
        Explained("kubernetes:* namespaces-autoscaling*", "pools in an account grow and shrink"),
        Explained("kubernetes:* monitoring-accelerators-*", "the GPUs' exporter is scraped"),
        Explained("kubernetes:* monitoring-autoscaling-*", "the autoscaler is scraped"),
        Explained("kubernetes:* monitoring-registry-*", "no registry of ours is looked for"),
        Explained(
            "kubernetes:core/v1:ConfigMap monitoring-settings: data.*",
            "the autoscaler and the GPUs' exporter are scraped, and no registry of ours",
        ),
        Explained(
            "kubernetes:apps/v1:Deployment monitoring-deployment: "
            "spec.template.metadata.annotations.modelyard.dev/configuration",
            "it restarts with its configuration",
        ),
        Explained(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy monitoring-policy: spec.egress",
            "the autoscaler and the GPUs' exporter are scraped",
        ),
    ],
    "existing": [
        *SHARED,
        Explained(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy *: spec.egress.*.to",
            "ranges are the environment's; the team's Cilium also has hosts in the pods'",
        ),
        Explained(
            "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding *: "
            "spec.matchResources.namespaceSelector.*",
            "policies judge our namespaces alone on a cluster of others",
        ),
        Explained("kubernetes:* namespaces-monitoring*", "nothing of ours would stand in it"),
        Explained("kubernetes:* namespaces-accelerators*", "nothing of ours would stand in it"),
        Explained("kubernetes:* gateway-*", "the team has Traefik already, and its definitions"),
        Explained("*:TLSStore routes-default", "the team's gateway has its own certificate"),
        Explained("*:IngressRoute routes-doorkeeper", "no entry of the team's gateway is inner"),
        Explained("*:Middleware routes-auth-*", "no entry of the team's gateway is inner"),
        Explained(
            "*:Middleware routes-auth: spec.forwardAuth.address",
            "the team's gateway asks the doorkeeper at its Service's address",
        ),
        Explained("*:IngressRoute *: spec.entryPoints.*", "the team calls its entry otherwise"),
        Explained("*:IngressRoute *: spec.routes.*.match", "the gateway serves other hosts, too"),
        Explained("kubernetes:* monitoring-*", "the team has Prometheus already"),
        Explained("kubernetes:* metrics-*", "the team has metrics-server already"),
        Explained(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy *: spec.*.namespaceSelector.*",
            "metrics are read from where the team's Prometheus is, requests come from its gateway",
        ),
        Explained(
            "kubernetes:networking.k8s.io/v1:NetworkPolicy *: spec.*.podSelector*",
            "the team's Prometheus and gateway have other labels",
        ),
    ],
}


def program(project: str) -> Callable[[], None]:
    """What `pulumi up` runs."""

    def run() -> None:
        runpy.run_module(f"infra.{project}.__main__", run_name="__main__")

    return run


def hosts() -> Environment:
    return environment.load("local").model_copy(update={"name": NAME})


def in_account() -> Environment:
    # Sizes of the platform's own volumes are no matter of the substrate.
    same = hosts()
    return environment.load("dev").model_copy(
        update={
            "name": NAME,
            "releases": same.releases,
            "registry_gib": same.registry_gib,
            "prometheus_retention_days": same.prometheus_retention_days,
        }
    )


# What a person writes who has a cluster: its own addresses, storage, monitoring and registry.
BY_HAND = """\
api: https://cluster.team.example.com:6443
kubeconfig: ~/.kube/config
storage_class: fast
registry:
  pull: registry.team.example.com/models
  push: registry.team.example.com/models
  pulled_by: nodes
gateway:
  url: https://models.team.example.com
  port: 443
  namespace: team-gateway
  labels: { app: traefik }
  entry_point: https
pools:
  - name: workers
    kind: cpu
    simulated: false
    gpus_per_node: 0
    labels: { team.example.com/pool: workers }
network_engine: cilium
enforces_network_policy: true
existing: [registry, gateway, metrics, monitoring]
prometheus: team-monitoring
"""


def by_hand(folder: Path, like: Contract) -> Contract:
    path = folder / "contract.yaml"
    path.write_text(BY_HAND)
    ranges = Network(hosts="10.16.0.0/16", pods="10.8.0.0/14", services="10.12.0.0/16")
    cluster = Cluster(substrate="existing", contract=str(path))
    theirs = hosts().model_copy(
        update={"cluster": cluster, "network": ranges, "ports": None, "pools": ()}
    )
    return contract.settled_existing(theirs, like.images, like.crds)


def told() -> Told:
    return Told.model_validate(
        {
            "cluster": "modelyard-dev",
            "api": "https://0123.gr7.us-west-2.eks.amazonaws.com",
            "authority": "YXV0aG9yaXR5",
            "load_balancer": "modelyard-dev.elb.us-west-2.amazonaws.com",
            "artifacts": "s3://modelyard-dev-artifacts-111122223333",
            "databases": {},
            "region": "us-west-2",
        }
    )


Runs = dict[tuple[str, str], Registered]
"""What was registered, by (project, substrate)."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, new_engine: "type[Engine]") -> Iterator[Runs]:
    """Both projects on all three clusters, with one environment's credentials."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        made = build(folder)
        same = {
            "environment": NAME,
            "credentials": made.credentials,
            "kubelets_certified": True,
        }
        images = made.images | {
            f"modelyard/{name}": made.images["modelyard/shell"]
            for name in ("nvidia-device-plugin", "dcgm-exporter", "cluster-autoscaler")
        }
        settled = contract.settled(in_account(), told(), images, made.crds)
        clusters = {
            "hosts": (hosts(), made.model_copy(update=same)),
            "aws": (in_account(), settled.model_copy(update=same)),
            "existing": (hosts(), by_hand(folder, made).model_copy(update=same)),
        }
        contract.path(NAME).parent.mkdir()
        release.write(hosts(), RELEASE)
        found: Runs = {}
        for substrate, (loaded, facts) in clusters.items():
            contract.path(NAME).write_text(facts.model_dump_json())
            patch.setattr(environment, "load", lambda name, loaded=loaded: loaded)
            for project in PROJECTS:
                engine = new_engine()
                engine.run(program(project), stack=NAME)
                found[project, substrate] = {
                    f"{one.type} {one.name}": one.inputs for one in engine.registered
                }
        yield found


CASES = [(project, substrate) for project in PROJECTS for substrate in KNOWN]


@pytest.mark.parametrize(("project", "substrate"), CASES)
def test_what_differs_from_hosts_is_explained(runs: Runs, project: str, substrate: str) -> None:
    found = parity.differences(runs[project, "hosts"], runs[project, substrate])

    assert found
    assert parity.unexplained(found, KNOWN[substrate]) == []


@pytest.mark.parametrize("substrate", KNOWN)
def test_no_explanation_outlives_its_difference(runs: Runs, substrate: str) -> None:
    found = [
        one
        for project in PROJECTS
        for one in parity.differences(runs[project, "hosts"], runs[project, substrate])
    ]

    assert parity.unused(found, KNOWN[substrate]) == []


def test_every_explanation_says_why() -> None:
    for known in KNOWN.values():
        assert all(len(each.reason) > 15 for each in known)


@pytest.mark.parametrize(("project", "substrate"), CASES)
def test_any_mutation_is_found(runs: Runs, project: str, substrate: str) -> None:
    """Each resource that both sides have gets a change that nobody explained."""
    known = KNOWN[substrate]
    left, right = runs[project, "hosts"], runs[project, substrate]
    shared = [
        name
        for name in sorted(set(left) & set(right))
        if not any(each.pattern.endswith("*") and each.covers(_whole(name)) for each in known)
        and left[name]
    ]

    assert len(shared) >= 10
    for name in shared:
        mutated = {**right, name: copy.deepcopy(dict(right[name])) | {"mutated": "yes"}}
        found = parity.unexplained(parity.differences(left, mutated), known)
        assert [one.resource for one in found] == [name], name


def _whole(name: str) -> parity.Difference:
    return parity.Difference(name, "mutated", parity.ABSENT, "yes")


@pytest.mark.parametrize("substrate", KNOWN)
def test_a_resource_that_only_one_side_has_is_found(runs: Runs, substrate: str) -> None:
    left, right = runs["platform", "hosts"], runs["platform", substrate]
    kept = "kubernetes:apps/v1:Deployment delivery-deployment"

    less = {name: inputs for name, inputs in right.items() if name != kept}
    found = parity.unexplained(parity.differences(left, less), KNOWN[substrate])

    assert found == [parity.Difference(kept, "", "present", parity.ABSENT)]


def test_what_a_team_has_is_not_installed(runs: Runs) -> None:
    names = " ".join(runs["platform", "existing"])

    assert "monitoring-deployment" not in names
    assert "metrics-deployment" not in names
    assert "registry-deployment" not in names
    assert "gateway-deployment" not in names
    assert "traefik.io " not in names
    assert "doorkeeper-deployment" in names


def test_an_account_needs_no_secret_to_pull(runs: Runs) -> None:
    assert "kubernetes:core/v1:Secret model-access-pull" not in runs["platform", "aws"]
    (rollout,) = [
        inputs for name, inputs in runs["models", "aws"].items() if name.endswith("-rollout")
    ]
    pod = rollout["spec"]["template"]["spec"]
    assert "imagePullSecrets" not in pod
    assert pod["containers"][0]["image"].startswith(
        "111122223333.dkr.ecr.us-west-2.amazonaws.com/models/digits@sha256:"
    )


@pytest.mark.parametrize("project", PROJECTS)
def test_platform_and_models_preview_before_the_account_has_a_cluster(
    engine: "Engine", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert not contract.path("dev").exists()

    engine.run(program(project), stack="dev", preview=True)

    assert [one.name for one in engine.registered if one.type == "pulumi:providers:kubernetes"]
    deployments = [one for one in engine.registered if one.type.endswith(":Deployment")]
    assert bool(deployments) is (project == "platform")
