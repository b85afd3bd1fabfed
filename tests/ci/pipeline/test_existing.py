"""A cluster that is there already, asked on a real API server; down takes only what is ours."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ci.pipeline import down, existing, models, stacks
from ci.pipeline.steps import Steps
from ci.report import silent
from ci.yard.progress import Progress
from infra import contract, environment, places
from infra.environment import Cluster, Environment
from infra.models import release as releasing
from infra.models.release import Resources
from infra.refusal import Refusal
from tests.ci.pipeline.test_canary_on_controller import DEFINITIONS, definitions, serves, until
from tests.infra.models import samples
from tests.infra.plugins.apiserver import ApiServer, running
from tests.infra.test_parity import BY_HAND

pytestmark = pytest.mark.apiserver

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
CONFIG_MAPS = "/api/v1/namespaces/models/configmaps"
GATEWAYS = "/api/v1/namespaces/team-gateway/pods"
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/models/rollouts"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with running(folder) as started:
        started.namespace("team-monitoring")
        storage = {"metadata": {"name": "fast"}, "provisioner": "example.com/fast"}
        started.create(CLASSES, storage)
        labels = {"team.example.com/pool": "workers"}
        started.create("/api/v1/nodes", {"metadata": {"name": "w1", "labels": labels}})
        yield started


@pytest.fixture
def there(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment `test`, as one whose cluster a person described."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return described(
        tmp_path,
        server,
        existing=["registry", "monitoring"],
        gateway={"url": "https://models.team.example.com", "port": 443},
    )


def described(folder: Path, server: ApiServer, **told: object) -> Environment:
    path = folder / "contract.yaml"
    told |= {"api": server.url, "kubeconfig": str(server.kubeconfig)}
    path.write_text(yaml.safe_dump(yaml.safe_load(BY_HAND) | told))
    cluster = Cluster(substrate="existing", contract=str(path))
    update = {"cluster": cluster, "ports": None, "pools": ()}
    loaded = environment.load("test").model_copy(update=update)
    places.state(loaded.name).mkdir(parents=True, exist_ok=True)
    return loaded


def test_a_cluster_that_keeps_its_contract_is_taken_with_a_kubeconfig_of_our_own(
    there: Environment, server: ApiServer
) -> None:
    existing.ask(there, silent)

    own = contract.promised(there).kubeconfig
    assert yaml.safe_load(own.read_text())["clusters"][0]["cluster"]["server"] == server.url
    assert own.stat().st_mode & 0o777 == 0o600


def test_what_the_cluster_has_not_is_refused_with_the_file_and_the_key(
    there: Environment, server: ApiServer
) -> None:
    server.request("DELETE", f"{CLASSES}/fast")

    with pytest.raises(Refusal, match=r"contract\.yaml: storage_class is 'fast'.*it has: none"):
        existing.ask(there, silent)


def test_a_namespace_of_another_is_not_taken_over(there: Environment, server: ApiServer) -> None:
    server.namespace("models")

    with pytest.raises(Refusal, match=r"Namespace models of somebody.*the platform makes it"):
        existing.ask(there, silent)


def test_the_teams_gateway_is_looked_for_with_its_definitions_and_how_it_runs(
    there: Environment, server: ApiServer, tmp_path: Path
) -> None:
    theirs = described(tmp_path, server, existing=["registry", "gateway", "monitoring"])

    with pytest.raises(Refusal, match=r"existing is 'gateway': the cluster has no definition of"):
        existing.ask(theirs, silent)

    for document in definitions():
        if document["spec"]["group"] == "traefik.io":
            server.create(DEFINITIONS, document)
    server.namespace("team-gateway")
    with pytest.raises(Refusal, match=r"gateway\.labels is .*no pod of team-gateway that runs has"):
        existing.ask(theirs, silent)

    gateway(server, "--providers.kubernetescrd")
    with pytest.raises(Refusal, match=r"gateway\.entry_point is 'https': theirs has no such entry"):
        existing.ask(theirs, silent)

    server.request("DELETE", f"{GATEWAYS}/theirs?gracePeriodSeconds=0")
    gateway(
        server,
        "--providers.kubernetescrd.allowcrossnamespace=true",
        "--providers.kubernetescrd.allowemptyservices=true",
        "--entrypoints.https.address=:8443",
    )
    existing.ask(theirs, silent)


def gateway(server: ApiServer, *arguments: str) -> None:
    """A pod that a kubelet would say is running."""
    container = {"name": "traefik", "image": "traefik", "args": list(arguments)}
    metadata = {"name": "theirs", "labels": {"app": "traefik"}}
    server.create(GATEWAYS, {"metadata": metadata, "spec": {"containers": [container]}})
    server.status(f"{GATEWAYS}/theirs", {"phase": "Running"})


def test_down_takes_what_was_made_and_leaves_what_is_the_teams(
    there: Environment, server: ApiServer
) -> None:
    existing.ask(there, silent)
    for document in definitions():
        server.create(DEFINITIONS, document)
    until("rollouts are served", lambda: serves(server, ROLLOUTS))
    traefik = ROLLOUTS.replace("argoproj.io", "traefik.io").replace("rollouts", "middlewares")
    until("middlewares are served", lambda: serves(server, traefik))
    server.namespace("models")
    server.create(CONFIG_MAPS, {"metadata": {"name": "theirs"}})
    existing.hand_over(there, {})
    releasing.write(there, samples.release(resources=Resources(cpu="10m", memory="16Mi")))
    stacks.prepare(there)
    assert models.up(there, silent).create > 0
    image = server.get(f"{ROLLOUTS}/digits")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.startswith("registry.team.example.com/models/digits@sha256:")

    down.run(there, Steps(Progress(io.StringIO())))

    # The garbage collector, which ends the deletion, looks for new kinds every half minute.
    until("the rollout is gone", lambda: server.find(f"{ROLLOUTS}/digits") is None)
    assert server.find(f"{CONFIG_MAPS}/theirs") is not None
    assert server.find("/api/v1/nodes/w1") is not None
    assert not contract.path(there.name).exists()
