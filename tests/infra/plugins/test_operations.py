"""Single operations of the provider against a real API server, without an engine."""

import threading
from typing import Any

import pytest

from infra.plugins.kubernetes import objects, values
from infra.plugins.kubernetes.answers import InitFailed
from infra.plugins.kubernetes.cluster import Cluster, Settings
from infra.plugins.kubernetes.errors import ApiError, ClusterError, Unreachable, cleared
from infra.plugins.kubernetes.values import UNKNOWN, Secret
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.objects_of_tests import (
    CONFIG_MAP,
    DEPLOYMENT,
    config_map,
    definition,
    deployment,
    heard,
    session,
    target,
)

pytestmark = pytest.mark.apiserver


def path(namespace: str, name: str = "one") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"


def later(seconds: float, action: Any) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_created_object_has_the_content_and_names_its_resource(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    where = target(CONFIG_MAP, "one")
    identifier, outputs = session(cluster).create(where, config_map(namespace), 0)

    live = server.get(path(namespace))
    assert identifier == f"{namespace}/one"
    assert live["data"] == {"color": "red"}
    assert live["metadata"]["annotations"][objects.OWNER] == where.urn
    assert outputs["metadata"]["uid"] == live["metadata"]["uid"]


def test_outputs_hold_no_bookkeeping_of_field_managers(cluster: Cluster, namespace: str) -> None:
    _, outputs = session(cluster).create(target(CONFIG_MAP, "one"), config_map(namespace), 0)

    assert "managedFields" not in outputs["metadata"]


def test_creating_what_somebody_else_made_is_refused_with_the_remedy(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    server.create(path(namespace, ""), {"metadata": {"name": "one"}, "data": {"a": "theirs"}})

    with pytest.raises(ClusterError, match=rf"exists already.*import_='{namespace}/one'"):
        session(cluster).create(target(CONFIG_MAP, "one"), config_map(namespace), 0)

    assert server.get(path(namespace))["data"] == {"a": "theirs"}


def test_a_preview_refuses_what_exists_already_too(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    server.create(path(namespace, ""), {"metadata": {"name": "one"}})

    with pytest.raises(ClusterError, match="exists already"):
        session(cluster).preview_create(target(CONFIG_MAP, "one"), config_map(namespace))


def test_what_a_killed_run_of_the_same_resource_made_is_completed(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    where = target(CONFIG_MAP, "one")
    session(cluster).create(where, config_map(namespace, color="red"), 0)

    session(cluster).create(where, config_map(namespace, color="blue"), 0)

    assert server.get(path(namespace))["data"] == {"color": "blue"}


def test_a_renamed_resource_does_not_take_over_its_former_object(
    cluster: Cluster, namespace: str
) -> None:
    session(cluster).create(target(CONFIG_MAP, "old"), config_map(namespace), 0)

    with pytest.raises(ClusterError, match="alias of the old name"):
        session(cluster).create(target(CONFIG_MAP, "new"), config_map(namespace), 0)


def test_a_replacement_under_the_same_name_needs_the_old_object_gone(
    cluster: Cluster, namespace: str
) -> None:
    where = target(CONFIG_MAP, "one")
    found = session(cluster)
    found.create(where, config_map(namespace), 0)
    found.known.add(where.urn)

    with pytest.raises(ClusterError, match="delete_before_replace"):
        found.create(where, config_map(namespace), 0)


def test_a_preview_leaves_nothing_behind(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    outputs = session(cluster).preview_create(target(CONFIG_MAP, "one"), config_map(namespace))

    assert server.find(path(namespace)) is None
    assert outputs["data"] == {"color": "red"}
    assert outputs["metadata"]["uid"] is UNKNOWN


def test_a_preview_of_an_update_leaves_the_object_as_it_was(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    identifier, _ = found.create(target(CONFIG_MAP, "one"), config_map(namespace), 0)
    before = server.get(path(namespace))["metadata"]["resourceVersion"]

    outputs = found.update(
        target(CONFIG_MAP, "one", identifier),
        config_map(namespace, color="blue"),
        ignored=[],
        seconds=0,
        preview=True,
    )

    assert outputs["data"] == {"color": "blue"}
    assert server.get(path(namespace))["metadata"]["resourceVersion"] == before


def test_a_preview_works_before_the_namespace_exists(cluster: Cluster) -> None:
    found = session(cluster)
    outputs = found.preview_create(target(CONFIG_MAP, "one"), config_map("not-yet"))

    assert outputs["data"] == {"color": "red"}
    assert heard(found) == []


def test_a_preview_works_before_the_kind_exists_and_says_so(cluster: Cluster) -> None:
    found = session(cluster)
    inputs = {"apiVersion": "later.test/v1", "kind": "Thing", "metadata": {"name": "a"}}
    outputs = found.preview_create(target("kubernetes:later.test/v1:Thing", "a"), inputs)

    assert outputs["kind"] == "Thing"
    assert "no API later.test/v1" in heard(found)[0]


def test_a_preview_with_unknown_values_asks_nothing_of_the_server(
    cluster: Cluster, namespace: str
) -> None:
    inputs = config_map(namespace) | {"data": {"color": UNKNOWN}}
    outputs = session(cluster).preview_create(target(CONFIG_MAP, "one"), inputs)

    assert outputs["data"]["color"] is UNKNOWN


def test_a_preview_works_before_the_cluster_exists_and_says_so_once() -> None:
    found = session(Cluster(Settings(kubeconfig="/nowhere/kubeconfig")))
    for name in ("one", "two"):
        found.preview_create(target(CONFIG_MAP, name), config_map("any", name))

    assert len(heard(found)) == 1
    assert "kubeconfig /nowhere/kubeconfig does not exist" in heard(found)[0]


def test_a_server_that_does_not_answer_is_named(tmp_path: Any, server: ApiServer) -> None:
    address = f"https://127.0.0.1:{apiserver.free_port()}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(server.kubeconfig.read_text().replace(server.url, address))
    found = session(Cluster(Settings(kubeconfig=str(kubeconfig))))

    with pytest.raises(Unreachable, match=f"{address} does not answer.*{kubeconfig}"):
        found.read(target(CONFIG_MAP, "one", "any/one"), config_map("any"))


def test_the_kubeconfig_may_be_content(server: ApiServer, namespace: str) -> None:
    found = session(Cluster(Settings(kubeconfig=server.kubeconfig.read_text())))
    found.create(target(CONFIG_MAP, "one"), config_map(namespace), 0)

    assert server.find(path(namespace)) is not None


def test_wrong_credentials_are_named(server: ApiServer) -> None:
    text = "".join(
        "    token: wrong\n" if line.strip().startswith("token:") else line
        for line in server.kubeconfig.read_text().splitlines(keepends=True)
    )
    found = session(Cluster(Settings(kubeconfig=text)))

    with pytest.raises(ClusterError, match="does not accept the credentials"):
        found.read(target(CONFIG_MAP, "one", "any/one"), config_map("any"))


def test_a_misspelt_field_is_an_error(cluster: Cluster, namespace: str) -> None:
    inputs = config_map(namespace) | {"dta": {"color": "red"}}

    with pytest.raises(ApiError, match="dta"):
        session(cluster).create(target(CONFIG_MAP, "one"), inputs, 0)


def test_a_conflict_names_manager_field_and_remedy(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    identifier, _ = found.create(target(CONFIG_MAP, "one"), config_map(namespace), 0)
    server.patch(path(namespace), {"data": {"color": "green"}}, manager="a-person")

    with pytest.raises(ClusterError) as refused:
        found.update(
            target(CONFIG_MAP, "one", identifier),
            config_map(namespace, color="blue"),
            ignored=[],
            seconds=0,
            preview=False,
        )

    assert 'data.color: conflict with "a-person"' in str(refused.value)
    assert 'pulumi.com/patchForce: "true"' in str(refused.value)
    assert server.get(path(namespace))["data"] == {"color": "green"}


def test_the_annotation_takes_conflicting_fields_over(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    identifier, _ = found.create(target(CONFIG_MAP, "one"), config_map(namespace), 0)
    server.patch(path(namespace), {"data": {"color": "green"}}, manager="a-person")
    inputs = config_map(namespace, color="blue")
    inputs["metadata"]["annotations"] = {objects.PATCH_FORCE: "true"}

    found.update(
        target(CONFIG_MAP, "one", identifier), inputs, ignored=[], seconds=0, preview=False
    )

    assert server.get(path(namespace))["data"] == {"color": "blue"}


def test_an_update_leaves_ignored_fields_to_their_owner(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    inputs = config_map(namespace, color="red", size="1")
    identifier, _ = found.create(target(CONFIG_MAP, "one"), inputs, 0)
    server.patch(path(namespace), {"data": {"color": "green"}}, manager="a-controller")

    found.update(
        target(CONFIG_MAP, "one", identifier),
        config_map(namespace, color="red", size="2"),
        ignored=["data.color"],
        seconds=0,
        preview=False,
    )

    assert server.get(path(namespace))["data"] == {"color": "green", "size": "2"}


def test_a_removed_field_is_removed_from_the_object(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    inputs = config_map(namespace, color="red", size="1")
    identifier, _ = found.create(target(CONFIG_MAP, "one"), inputs, 0)

    found.update(
        target(CONFIG_MAP, "one", identifier),
        config_map(namespace, color="red"),
        ignored=[],
        seconds=0,
        preview=False,
    )

    assert server.get(path(namespace))["data"] == {"color": "red"}


def test_fields_of_other_managers_survive_an_update(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    identifier, _ = found.create(target(CONFIG_MAP, "one"), config_map(namespace), 0)
    server.patch(path(namespace), {"metadata": {"labels": {"theirs": "yes"}}})

    found.update(
        target(CONFIG_MAP, "one", identifier),
        config_map(namespace, color="blue"),
        ignored=[],
        seconds=0,
        preview=False,
    )

    live = server.get(path(namespace))
    assert live["metadata"]["labels"] == {"theirs": "yes"}
    assert live["data"] == {"color": "blue"}


def test_a_namespace_that_comes_a_moment_later_is_waited_for(
    server: ApiServer, cluster: Cluster
) -> None:
    timer = later(1, lambda: server.namespace("a-moment-later"))
    session(cluster).create(target(CONFIG_MAP, "one"), config_map("a-moment-later"), 0)
    timer.join()

    assert server.find(path("a-moment-later")) is not None


def test_a_kind_that_comes_a_moment_later_is_waited_for(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    timer = later(1, lambda: server.create(crds, definition("late.test", "things", "Thing")))
    inputs = {
        "apiVersion": "late.test/v1",
        "kind": "Thing",
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {"size": 1},
    }
    session(cluster).create(target("kubernetes:late.test/v1:Thing", "a"), inputs, 0)
    timer.join()

    made = server.find(f"/apis/late.test/v1/namespaces/{namespace}/things/a")
    assert made is not None
    assert made["spec"] == {"size": 1}


def test_an_object_that_is_gone_reads_as_nothing(cluster: Cluster, namespace: str) -> None:
    where = target(CONFIG_MAP, "one", f"{namespace}/one")

    assert session(cluster).read(where, config_map(namespace)) is None


def test_an_object_of_a_kind_that_is_gone_reads_as_nothing(cluster: Cluster) -> None:
    where = target("kubernetes:gone.test/v1:Thing", "a", "any/a")

    assert session(cluster).read(where, {"apiVersion": "gone.test/v1", "kind": "Thing"}) is None


def test_normal_forms_and_defaults_are_no_drift(cluster: Cluster, namespace: str) -> None:
    found = session(cluster)
    inputs = deployment(namespace)
    inputs["metadata"]["annotations"] = {objects.SKIP_AWAIT: "true"}
    identifier, outputs = found.create(target(DEPLOYMENT, "app"), inputs, 0)
    where = target(DEPLOYMENT, "app", identifier)

    read = found.read(where, inputs)
    compared = found.difference(
        where, old_inputs=inputs, old_outputs=outputs, new_inputs=inputs, ignored=[]
    )

    assert read is not None
    assert read.inputs == inputs
    assert compared.properties == {}


def test_a_read_shows_what_drifted_and_nothing_else(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    inputs = deployment(namespace)
    inputs["metadata"]["annotations"] = {objects.SKIP_AWAIT: "true"}
    identifier, _ = found.create(target(DEPLOYMENT, "app"), inputs, 0)
    server.patch(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/app",
        {"spec": {"replicas": 3, "minReadySeconds": 7}},
    )

    read = found.read(target(DEPLOYMENT, "app", identifier), inputs)

    assert read is not None
    assert read.inputs == inputs | {"spec": inputs["spec"] | {"replicas": 3}}


def test_drift_is_found_without_a_refresh(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    inputs = config_map(namespace, color="red", size="1")
    identifier, outputs = found.create(target(CONFIG_MAP, "one"), inputs, 0)
    server.patch(path(namespace), {"data": {"color": "green"}})

    compared = found.difference(
        target(CONFIG_MAP, "one", identifier),
        old_inputs=inputs,
        old_outputs=outputs,
        new_inputs=inputs,
        ignored=[],
    )

    assert set(compared.properties) == {"data.color"}
    assert heard(found) == ["the cluster has it otherwise: data.color is 'green', not 'red'"]


def test_drift_of_an_ignored_field_is_no_difference(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    inputs = config_map(namespace, color="red", size="1")
    identifier, outputs = found.create(target(CONFIG_MAP, "one"), inputs, 0)
    server.patch(path(namespace), {"data": {"color": "green"}})

    compared = found.difference(
        target(CONFIG_MAP, "one", identifier),
        old_inputs=inputs,
        old_outputs=outputs,
        new_inputs=inputs,
        ignored=["data.color"],
    )

    assert compared.properties == {}


def test_an_object_deleted_by_hand_is_made_again_by_an_update(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    inputs = config_map(namespace)
    identifier, outputs = found.create(target(CONFIG_MAP, "one"), inputs, 0)
    server.request("DELETE", path(namespace))
    where = target(CONFIG_MAP, "one", identifier)

    compared = found.difference(
        where, old_inputs=inputs, old_outputs=outputs, new_inputs=inputs, ignored=[]
    )
    found.update(where, inputs, ignored=[], seconds=0, preview=False)

    assert compared.properties
    assert compared.replaces == []
    assert server.get(path(namespace))["data"] == {"color": "red"}


def test_an_error_never_shows_a_secret_of_the_inputs(cluster: Cluster, namespace: str) -> None:
    # The server quotes the value that it refuses.
    inputs = config_map(namespace)
    inputs["metadata"]["labels"] = {"key": Secret("not a label: hunter2")}

    with pytest.raises(ApiError) as refused:
        session(cluster).create(target(CONFIG_MAP, "one"), inputs, 0)

    text = cleared(str(refused.value), values.secret_strings(inputs))
    assert "hunter2" in str(refused.value)
    assert "hunter2" not in text


def test_a_failed_wait_keeps_the_object_in_the_state(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(InitFailed) as failed:
        session(cluster).create(target(DEPLOYMENT, "app"), deployment(namespace), 0.5)

    assert failed.value.identifier == f"{namespace}/app"
    assert failed.value.outputs["metadata"]["uid"]
    assert "not ready after 0.5 s" in failed.value.reasons[0]


def test_an_interrupted_wait_ends_at_once_and_keeps_the_object(
    cluster: Cluster, namespace: str
) -> None:
    found = session(cluster)
    timer = later(0.5, found.stop.set)

    with pytest.raises(InitFailed, match="interrupted"):
        found.create(target(DEPLOYMENT, "app"), deployment(namespace), 300)
    timer.join()


def test_an_object_deleted_by_somebody_else_while_it_comes_up_ends_the_wait(
    server: ApiServer, cluster: Cluster, namespace: str
) -> None:
    where = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    timer = later(0.5, lambda: server.request("DELETE", where))

    with pytest.raises(InitFailed, match=r"deleted by somebody else|is being deleted"):
        session(cluster).create(target(DEPLOYMENT, "app"), deployment(namespace), 300)
    timer.join()
