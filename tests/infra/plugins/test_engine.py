"""What takes the real engine: its state, its steps, its messages, its interruptions."""

import os
import signal
import time
from pathlib import Path

import pytest

from infra.plugins.kubernetes import objects
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.conftest import kubelet
from tests.infra.plugins.objects_of_tests import definition
from tests.infra.plugins.pulumi_cli import Engine

pytestmark = pytest.mark.apiserver

HEAD = """
import pulumi
import pulumi_kubernetes as kubernetes

provider = kubernetes.Provider("cluster", kubeconfig={kubeconfig!r}, namespace={namespace!r})


def opts(**options):
    return pulumi.ResourceOptions(provider=provider, **options)

"""


ONE = """
kubernetes.core.v1.ConfigMap(
    "one", metadata={"name": "one"}, data={"a": "1"}, opts=opts()
)
"""


def program(engine: Engine, server: ApiServer, namespace: str, text: str) -> None:
    head = HEAD.format(kubeconfig=str(server.kubeconfig), namespace=namespace)
    engine.program(head + text)


def config_map(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"


WORKLOAD = """
container = {
    "name": "main",
    "image": "example.test/app:1",
    "env": [{"name": "TOKEN", "value": pulumi.Output.secret("hunter2-in-env")}],
}
kubernetes.apps.v1.Deployment(
    "app",
    metadata={"name": "app"},
    spec={
        "selector": {"match_labels": {"app": "app"}},
        "template": {
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [container]},
        },
    },
    opts=opts(custom_timeouts=pulumi.CustomTimeouts(create="1s", update="30s")),
)
"""


def test_a_workload_that_fails_is_named_and_the_next_up_completes_it(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, WORKLOAD)

    failed = engine.up(check=False)
    with kubelet(server, namespace):
        completed = engine.up()

    assert failed.code != 0
    assert f"Deployment {namespace}/app is not ready after 1 s: 0 of 1 pods" in failed.output
    assert "pod app-" in failed.output
    assert completed.steps()["app"] == "update"
    assert "initErrors" not in engine.resource("app")
    assert "hunter2" not in engine.state_file.read_text() + failed.output + completed.output


CANARY = """
kubernetes.apiextensions.CustomResource(
    "weights",
    api_version="traefik.test/v1alpha1",
    kind="TraefikService",
    metadata={"name": "digits"},
    spec={
        "weighted": {
            "services": [
                {"name": "stable", "port": 3000, "weight": 100},
                {"name": "canary", "port": 3000, "weight": 0},
            ]
        }
    },
    opts=opts(ignore_changes=["spec.weighted.services"]),
)
kubernetes.core.v1.Service(
    "canary",
    metadata={"name": "canary", "labels": {"revision": "REVISION"}},
    spec={"selector": {"app": "digits"}, "ports": [{"port": 3000}]},
    opts=opts(ignore_changes=["spec.selector"]),
)
"""


def test_up_and_refresh_in_the_middle_of_a_canary_change_nothing(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    server.create(
        crds, definition("traefik.test", "traefikservices", "TraefikService", version="v1alpha1")
    )
    program(engine, server, namespace, CANARY)
    engine.up()
    weights = f"/apis/traefik.test/v1alpha1/namespaces/{namespace}/traefikservices/digits"
    service = f"/api/v1/namespaces/{namespace}/services/canary"
    moved = [
        {"name": "stable", "port": 3000, "weight": 80},
        {"name": "canary", "port": 3000, "weight": 20},
    ]
    selector = {"app": "digits", "rollouts-pod-template-hash": "abc"}
    server.patch(weights, {"spec": {"weighted": {"services": moved}}}, manager="argo")
    server.patch(service, {"spec": {"selector": selector}}, manager="argo")
    before = [server.get(path)["metadata"]["resourceVersion"] for path in (weights, service)]

    up = engine.up()
    refresh = engine.refresh()
    after = engine.up()

    assert up.counts() == {"same": 4}
    assert refresh.counts() == {"same": 4}
    assert after.counts() == {"same": 4}
    assert [
        server.get(path)["metadata"]["resourceVersion"] for path in (weights, service)
    ] == before

    program(engine, server, namespace, CANARY.replace("REVISION", "2"))
    changed = engine.up()

    assert changed.counts() == {"same": 3, "update": 1}
    assert server.get(service)["metadata"]["labels"] == {"revision": "2"}
    assert server.get(service)["spec"]["selector"] == selector


def test_a_field_conflict_stops_preview_and_up_with_manager_field_and_remedy(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, ONE)
    engine.up()
    server.patch(config_map(namespace, "one"), {"data": {"a": "theirs"}}, manager="a-person")

    for result in (engine.preview(check=False), engine.up(check=False)):
        assert result.code != 0
        assert 'data.a: conflict with "a-person"' in result.output
        assert 'pulumi.com/patchForce: "true"' in result.output
    assert server.get(config_map(namespace, "one"))["data"] == {"a": "theirs"}


NAMED = """
made = kubernetes.core.v1.ConfigMap("auto", data={"a": "1"}, immutable=True, opts=opts())
pulumi.export("name", made.metadata["name"])
"""


def test_a_resource_without_a_name_keeps_the_one_it_got_until_it_is_replaced(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, NAMED)
    engine.up()
    first = engine.resource("auto")["outputs"]["metadata"]["name"]
    assert engine.up().counts() == {"same": 3}

    program(engine, server, namespace, NAMED.replace('"1"', '"2"'))
    replaced = engine.up().steps()["auto"]
    second = engine.resource("auto")["outputs"]["metadata"]["name"]

    assert first.startswith("auto-")
    assert second.startswith("auto-")
    assert first != second
    assert replaced.index("create-replacement") < replaced.index("delete-replaced")
    assert server.find(config_map(namespace, first)) is None
    assert server.get(config_map(namespace, second))["data"] == {"a": "2"}


def test_the_import_command_takes_an_object_into_the_state(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    server.create(config_map(namespace, ""), {"metadata": {"name": "theirs"}, "data": {"a": "1"}})
    program(engine, server, namespace, "")
    engine.up()

    engine.command(
        "import",
        "kubernetes:core/v1:ConfigMap",
        "taken",
        f"{namespace}/theirs",
        "--provider",
        f"cluster={engine.resource('cluster')['urn']}",
        "--generate-code=false",
        "--protect=false",
        "--yes",
        check=True,
    )

    assert engine.resource("taken")["id"] == f"{namespace}/theirs"
    assert engine.resource("taken")["inputs"]["data"] == {"a": "1"}


def test_before_the_cluster_exists_a_preview_shows_creations_and_an_up_fails_clearly(
    engine: Engine, server: ApiServer, tmp_path: Path
) -> None:
    head = HEAD.format(kubeconfig=str(tmp_path / "no-kubeconfig"), namespace="any")
    engine.program(head + ONE)

    preview = engine.preview()
    up = engine.up(check=False)

    assert preview.counts() == {"create": 3}
    assert "This preview is made without asking it" in preview.output
    assert up.code != 0
    assert f"the kubeconfig {tmp_path / 'no-kubeconfig'} does not exist" in up.output


def test_a_cluster_that_stopped_answering_fails_refresh_and_preview_clearly(
    engine: Engine, server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(server.kubeconfig.read_text())
    engine.program(HEAD.format(kubeconfig=str(kubeconfig), namespace=namespace) + ONE)
    engine.up()
    gone = f"https://127.0.0.1:{apiserver.free_port()}"
    kubeconfig.write_text(kubeconfig.read_text().replace(server.url, gone))

    for result in (engine.refresh(check=False), engine.preview(check=False)):
        assert result.code != 0
        assert f"The API server {gone} does not answer" in result.output
    assert engine.resource("one")["id"] == f"{namespace}/one"


MANY = """
for number in range(12):
    kubernetes.core.v1.ConfigMap(
        f"many-{number}",
        metadata={"name": f"many-{number}"},
        data={"a": "1"},
        opts=opts(),
    )
kubernetes.core.v1.Pod(
    "slow",
    metadata={"name": "slow"},
    spec={"containers": [{"name": "main", "image": "example.test/app:1"}]},
    opts=opts(),
)
"""


def wait_for(server: ApiServer, path: str) -> None:
    end = time.monotonic() + 60
    while server.find(path) is None:
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


def test_the_up_after_a_killed_one_completes_it(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, MANY)
    running = engine.start("up", "--yes", "--skip-preview")
    # The pod waits for a kubelet, so its creation is under way when the engine dies.
    wait_for(server, f"/api/v1/namespaces/{namespace}/pods/slow")
    running.kill()
    assert engine.state()["pending_operations"]
    engine.unlock()

    with kubelet(server, namespace):
        completed = engine.up()

    assert completed.steps()["slow"] == "create"
    assert engine.resource("slow")["id"] == f"{namespace}/slow"
    assert engine.resource("many-11")["id"] == f"{namespace}/many-11"


def test_plugins_end_with_a_killed_engine(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, MANY)
    running = engine.start("up", "--yes", "--skip-preview")
    wait_for(server, f"/api/v1/namespaces/{namespace}/pods/slow")
    plugins = running.children("pulumi-resource-kubernetes")
    plugins += running.children("pulumi-language-python")
    assert len(plugins) == 2
    running.kill()

    end = time.monotonic() + 30
    while any(Path(f"/proc/{plugin}").exists() for plugin in plugins):
        assert time.monotonic() < end, "a plugin outlived its engine"
        time.sleep(0.1)
    assert engine.state()["pending_operations"]


def test_a_killed_provider_fails_the_up_and_the_next_one_completes_it(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, MANY)
    running = engine.start("up", "--yes", "--skip-preview")
    wait_for(server, f"/api/v1/namespaces/{namespace}/pods/slow")
    (plugin,) = running.children("pulumi-resource-kubernetes")
    os.kill(plugin, signal.SIGKILL)
    running.process.communicate(timeout=120)
    assert running.process.returncode != 0

    with kubelet(server, namespace):
        engine.up()

    assert engine.resource("slow")["id"] == f"{namespace}/slow"


def test_ctrl_c_ends_a_wait_and_keeps_what_was_made(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, MANY)
    running = engine.start("up", "--yes", "--skip-preview")
    wait_for(server, f"/api/v1/namespaces/{namespace}/pods/slow")

    output = running.interrupt()

    assert running.process.returncode != 0
    assert "interrupted while the pod is Pending" in output
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    assert engine.resource("slow")["id"] == f"{namespace}/slow"
    assert not engine.state().get("pending_operations")


def test_what_the_stand_in_does_not_serve_is_refused_by_name(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(
        engine,
        server,
        namespace,
        'kubernetes.core.v1.ConfigMapPatch("p", metadata={"name": "a"}, opts=opts())',
    )
    patch = engine.preview(check=False)
    program(
        engine,
        server,
        namespace,
        'kubernetes.yaml.v2.ConfigGroup("g", yaml="a: b", opts=opts())',
    )
    group = engine.preview(check=False)

    assert patch.code != 0
    assert "kubernetes:core/v1:ConfigMapPatch is not served by this stand-in" in patch.output
    assert group.code != 0
    assert "this stand-in serves" in group.output


def test_the_state_tells_which_plugin_and_resource_made_an_object(
    engine: Engine, server: ApiServer, namespace: str
) -> None:
    program(engine, server, namespace, ONE)
    engine.up()

    made = engine.resource("one")["outputs"]["metadata"]
    assert made["annotations"][objects.OWNER] == engine.resource("one")["urn"]
    assert engine.resource("cluster")["inputs"]["version"] == "4.34.2"
