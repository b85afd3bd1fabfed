"""Verb x kind with the real engine and a real API server: every cell is asserted on the server.

The whole table is one program; each verb runs once for all kinds, and each cell then looks at what
the API server had after it.
"""

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.conftest import kubelet
from tests.infra.plugins.pulumi_cli import Engine, Result

pytestmark = pytest.mark.apiserver

SPACE = "table"
PROGRAM = """
    import json
    import pulumi
    import pulumi_kubernetes as kubernetes

    document = json.load(open("objects.json"))
    provider = kubernetes.Provider("cluster", kubeconfig=document["kubeconfig"])
    made = {}
    for entry in document["objects"]:
        kind = kubernetes
        for step in entry["class"].split("."):
            kind = getattr(kind, step)
        made[entry["name"]] = kind(
            entry["name"],
            **entry["arguments"],
            opts=pulumi.ResourceOptions(
                provider=provider,
                depends_on=[made[name] for name in entry.get("after", [])],
                import_=entry.get("import"),
            ),
        )
    """


@dataclass(frozen=True)
class Case:
    """A kind: what is made, what an update changes, what needs a new object."""

    kind: str
    python: str
    collection: str
    arguments: dict[str, Any]
    update: dict[str, Any]
    replace: dict[str, Any]
    field: str
    """Path of the field that the update changes, with steps by '/'."""
    drifted: dict[str, Any]
    """A merge patch by somebody else that removes or changes what the program set."""
    server_update: dict[str, Any] | None = None
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.kind.lower()

    def path(self, name: str | None = None) -> str:
        return f"{self.collection}/{name or self.name}"


def namespaced(group: str, plural: str) -> str:
    return f"{group}/namespaces/{SPACE}/{plural}"


CONTAINER = {"name": "main", "image": "example.test/app:1"}
POD = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [CONTAINER]}}
POD_2 = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [CONTAINER | {"image": "example.test/app:2"}]},
}
POD_B = {"metadata": {"labels": {"app": "b"}}, "spec": {"containers": [CONTAINER]}}
LABEL = {"metadata": {"labels": {"team": None}}}
JOB_POD = {
    "metadata": {"labels": {"job": "a"}},
    "spec": {"containers": [CONTAINER], "restartPolicy": "Never"},
}

CASES = [
    Case(
        kind="ConfigMap",
        python="core.v1.ConfigMap",
        collection=namespaced("/api/v1", "configmaps"),
        arguments={"data": {"color": "red", "size": "1"}},
        update={"data": {"color": "blue", "size": "1"}},
        replace={"metadata": {"name": "configmap-other"}},
        field="data/color",
        drifted={"data": {"size": None}},
    ),
    Case(
        kind="Secret",
        python="core.v1.Secret",
        collection=namespaced("/api/v1", "secrets"),
        arguments={"string_data": {"password": "first-password"}},
        update={"string_data": {"password": "second-password"}},
        replace={"type": "modelyard.test/other"},
        field="data/password",
        drifted={"data": {"password": None}},
    ),
    Case(
        kind="Service",
        python="core.v1.Service",
        collection=namespaced("/api/v1", "services"),
        arguments={"spec": {"selector": {"app": "none"}, "ports": [{"name": "a", "port": 80}]}},
        update={"spec": {"selector": {"app": "none"}, "ports": [{"name": "a", "port": 81}]}},
        replace={
            "spec": {
                "selector": {"app": "none"},
                "ports": [{"name": "a", "port": 81}],
                "clusterIP": "None",
            }
        },
        field="spec/ports",
        drifted=LABEL,
    ),
    Case(
        kind="Deployment",
        python="apps.v1.Deployment",
        collection=namespaced("/apis/apps/v1", "deployments"),
        arguments={"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": POD}},
        update={"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": POD_2}},
        replace={"spec": {"selector": {"matchLabels": {"app": "b"}}, "template": POD_B}},
        field="spec/template/spec/containers",
        drifted=LABEL,
    ),
    Case(
        kind="StatefulSet",
        python="apps.v1.StatefulSet",
        collection=namespaced("/apis/apps/v1", "statefulsets"),
        arguments={
            "spec": {
                "serviceName": "one",
                "selector": {"matchLabels": {"app": "a"}},
                "template": POD,
                "replicas": 1,
            }
        },
        update={
            "spec": {
                "serviceName": "one",
                "selector": {"matchLabels": {"app": "a"}},
                "template": POD,
                "replicas": 2,
            }
        },
        replace={
            "spec": {
                "serviceName": "two",
                "selector": {"matchLabels": {"app": "a"}},
                "template": POD,
                "replicas": 2,
            }
        },
        field="spec/replicas",
        drifted=LABEL,
    ),
    Case(
        kind="Job",
        python="batch.v1.Job",
        collection=namespaced("/apis/batch/v1", "jobs"),
        arguments={"spec": {"suspend": True, "parallelism": 1, "template": JOB_POD}},
        update={"spec": {"suspend": True, "parallelism": 2, "template": JOB_POD}},
        replace={
            "spec": {
                "suspend": True,
                "parallelism": 2,
                "template": JOB_POD | {"metadata": {"labels": {"job": "b"}}},
                "completions": 3,
            }
        },
        field="spec/parallelism",
        drifted=LABEL,
    ),
    Case(
        kind="RoleBinding",
        python="rbac.v1.RoleBinding",
        collection=namespaced("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        arguments={
            "role_ref": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "one", "namespace": SPACE}],
        },
        update={"subjects": [{"kind": "ServiceAccount", "name": "two", "namespace": SPACE}]},
        replace={
            "role_ref": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "edit",
            }
        },
        field="subjects",
        drifted=LABEL,
    ),
    Case(
        kind="StorageClass",
        python="storage.v1.StorageClass",
        collection="/apis/storage.k8s.io/v1/storageclasses",
        arguments={"provisioner": "one.test", "volume_binding_mode": "WaitForFirstConsumer"},
        update={"allow_volume_expansion": True},
        replace={"provisioner": "two.test"},
        field="allowVolumeExpansion",
        drifted=LABEL,
    ),
    Case(
        kind="PersistentVolumeClaim",
        python="core.v1.PersistentVolumeClaim",
        collection=namespaced("/api/v1", "persistentvolumeclaims"),
        arguments={
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "storageclass",
                "resources": {"requests": {"storage": "1024Mi"}},
            }
        },
        update={"metadata": {"annotations": {"purpose": "more"}}},
        replace={
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "storageclass",
                "resources": {"requests": {"storage": "1024Mi"}},
            }
        },
        field="metadata/annotations/purpose",
        drifted=LABEL,
        after=("storageclass",),
    ),
    Case(
        kind="ClusterRole",
        python="rbac.v1.ClusterRole",
        collection="/apis/rbac.authorization.k8s.io/v1/clusterroles",
        arguments={"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        update={"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
        replace={"metadata": {"name": "clusterrole-other"}},
        field="rules",
        drifted=LABEL,
    ),
    Case(
        kind="Widget",
        python="apiextensions.CustomResource",
        collection=namespaced("/apis/example.test/v1", "widgets"),
        arguments={
            "api_version": "example.test/v1",
            "kind": "Widget",
            "spec": {"size": 1, "parts": [{"name": "a"}]},
        },
        update={"spec": {"size": 2, "parts": [{"name": "a"}]}},
        replace={"metadata": {"name": "widget-other"}},
        field="spec/size",
        drifted={"spec": {"parts": None}},
        after=("definition",),
    ),
]
NAMES = [case.kind for case in CASES]
BY_KIND = {case.kind: case for case in CASES}
# Made by the program itself, before the rest: a namespace and a definition of the same `up`.
SCHEMA = {
    "openAPIV3Schema": {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer"},
                    "parts": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                    },
                },
            }
        },
    }
}
FIRST = [
    {
        "name": "space",
        "class": "core.v1.Namespace",
        "arguments": {"metadata": {"name": SPACE}},
    },
    {
        "name": "definition",
        "class": "apiextensions.v1.CustomResourceDefinition",
        "arguments": {
            "metadata": {"name": "widgets.example.test"},
            "spec": {
                "group": "example.test",
                "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": SCHEMA}],
            },
        },
    },
]

Objects = dict[str, dict[str, Any] | None]


@dataclass
class Table:
    """What the commands said, and what the server had after each."""

    results: dict[str, Result] = field(default_factory=dict)
    objects: dict[str, Objects] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def take(self, verb: str, result: Result, server: ApiServer, engine: Engine) -> None:
        self.results[verb] = result
        self.objects[verb] = {case.kind: server.find(case.path()) for case in CASES}
        self.states[verb] = engine.state_file.read_text()


def merged(arguments: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(arguments)
    for key, value in change.items():
        if key == "metadata":
            result["metadata"] = result["metadata"] | value
        else:
            result[key] = value
    return result


def write(engine: Engine, server: ApiServer, step: str) -> None:
    """Write the program's objects as they are at a step of the table."""
    entries: list[dict[str, Any]] = [] if step == "delete" else list(FIRST)
    for case in CASES if step != "delete" else []:
        metadata: dict[str, Any] = {"name": case.name, "labels": {"team": "blue"}}
        if "/namespaces/" in case.collection:
            metadata["namespace"] = SPACE
        arguments = merged({"metadata": metadata}, case.arguments)
        if step in ("update", "replace", "import"):
            arguments = merged(arguments, case.update)
        if step == "replace":
            arguments = merged(arguments, case.replace)
        after = ["space", *case.after]
        entry = {"name": case.name, "class": case.python, "arguments": arguments, "after": after}
        if step == "import":
            entry["import"] = imported_id(case.kind)
        entries.append(entry)
    if step == "import":
        entries[0]["import"], entries[1]["import"] = SPACE, "widgets.example.test"
    document = {"kubeconfig": str(server.kubeconfig), "objects": entries}
    (engine.folder / "objects.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def table(
    server: ApiServer,
    shared_engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    installed: dict[str, str],
) -> Table:
    found, engine = Table(), shared_engine
    engine.program(PROGRAM)
    write(engine, server, "create")
    found.take("preview create", engine.preview(), server, engine)
    with kubelet(server, SPACE):
        found.take("create", engine.up(), server, engine)
        found.take("again", engine.up(), server, engine)
        write(engine, server, "update")
        found.take("preview update", engine.preview(), server, engine)
        found.take("update", engine.up(), server, engine)
        for case in CASES:
            server.patch(case.path(), case.drifted)
        found.take("refresh", engine.refresh(), server, engine)
        found.take("repair", engine.up(), server, engine)
        other = Engine(tmp_path_factory.mktemp("import"), installed)
        other.program(PROGRAM)
        write(other, server, "import")
        found.take("preview import", other.preview(), server, other)
        found.take("import", other.up(), server, other)
        found.take("after import", other.up(), server, other)
        write(engine, server, "replace")
        found.take("preview replace", engine.preview(), server, engine)
        found.take("replace", engine.up(), server, engine)
        write(engine, server, "delete")
        found.take("preview delete", engine.preview(), server, engine)
        found.take("delete", engine.up(), server, engine)
    return found


def imported_id(kind: str) -> str:
    case = BY_KIND[kind]
    return f"{SPACE}/{case.name}" if "/namespaces/" in case.collection else case.name


def at(tree: dict[str, Any] | None, path: str) -> Any:
    node: Any = tree
    for step in path.split("/"):
        node = None if node is None else node.get(step)
    return node


def uid(tree: dict[str, Any] | None) -> str:
    assert tree is not None
    return str(tree["metadata"]["uid"])


@pytest.mark.parametrize("kind", NAMES)
def test_a_preview_of_a_creation_announces_it_and_makes_nothing(table: Table, kind: str) -> None:
    assert table.results["preview create"].steps()[kind.lower()] == "create"
    assert table.objects["preview create"][kind] is None


@pytest.mark.parametrize("kind", NAMES)
def test_an_up_creates_the_object_as_field_manager_pulumi(table: Table, kind: str) -> None:
    made = table.objects["create"][kind]

    assert at(made, "metadata/labels/team") == "blue"
    assert made is not None
    managers = {
        (entry["manager"], entry["operation"]) for entry in made["metadata"]["managedFields"]
    }
    assert ("pulumi", "Apply") in managers


@pytest.mark.parametrize("kind", NAMES)
def test_a_second_up_changes_nothing(table: Table, kind: str) -> None:
    assert table.results["again"].steps()[kind.lower()] == "same"
    before, after = table.objects["create"][kind], table.objects["again"][kind]
    assert at(before, "metadata/generation") == at(after, "metadata/generation")
    assert uid(before) == uid(after)


@pytest.mark.parametrize("kind", NAMES)
def test_a_preview_of_an_update_names_the_field_and_changes_nothing(
    table: Table, kind: str
) -> None:
    case, result = BY_KIND[kind], table.results["preview update"]

    assert result.steps()[kind.lower()] == "update"
    top = case.field.partition("/")[0]
    named = {path.partition(".")[0].partition("[")[0] for path in result.paths(kind.lower())}
    assert top in named or (kind == "Secret" and "stringData" in named)
    before, after = table.objects["again"][kind], table.objects["preview update"][kind]
    assert at(before, case.field) == at(after, case.field)


@pytest.mark.parametrize("kind", NAMES)
def test_an_update_changes_the_object_in_place(table: Table, kind: str) -> None:
    case = BY_KIND[kind]
    before, after = table.objects["create"][kind], table.objects["update"][kind]

    assert table.results["update"].steps()[kind.lower()] == "update"
    assert at(after, case.field) != at(before, case.field)
    assert uid(before) == uid(after)


@pytest.mark.parametrize("kind", NAMES)
def test_a_refresh_finds_what_somebody_else_changed(table: Table, kind: str) -> None:
    result = table.results["refresh"]

    assert result.paths(kind.lower()), result.output
    assert at(table.objects["refresh"][kind], "metadata/uid") == uid(table.objects["update"][kind])


@pytest.mark.parametrize("kind", NAMES)
def test_the_up_after_a_refresh_repairs_it(table: Table, kind: str) -> None:
    case = BY_KIND[kind]
    undone = table.objects["refresh"][kind]
    repaired = table.objects["repair"][kind]

    assert table.results["repair"].steps()[kind.lower()] == "update"
    assert undone is not None
    assert repaired is not None
    for key, value in case.drifted.items():
        (name, _), *_ = value.items() if key != "metadata" else value["labels"].items()
        path = f"metadata/labels/{name}" if key == "metadata" else f"{key}/{name}"
        assert at(undone, path) is None
        assert at(repaired, path) == at(table.objects["update"][kind], path) is not None


@pytest.mark.parametrize("kind", NAMES)
def test_an_import_takes_the_object_over_as_it_is(table: Table, kind: str) -> None:
    before, after = table.objects["repair"][kind], table.objects["import"][kind]

    assert table.results["preview import"].steps()[kind.lower()] == "import"
    assert table.results["import"].steps()[kind.lower()] == "import"
    assert at(before, "metadata/resourceVersion") == at(after, "metadata/resourceVersion")
    assert f'"id":"{imported_id(kind)}"' in table.states["import"]


@pytest.mark.parametrize("kind", NAMES)
def test_an_up_after_an_import_changes_nothing(table: Table, kind: str) -> None:
    assert table.results["after import"].steps()[kind.lower()] == "same"


@pytest.mark.parametrize("kind", NAMES)
def test_a_preview_of_a_replacement_says_so_and_keeps_the_object(table: Table, kind: str) -> None:
    assert "replace" in table.results["preview replace"].steps()[kind.lower()]
    assert uid(table.objects["preview replace"][kind]) == uid(table.objects["repair"][kind])


@pytest.mark.parametrize("kind", NAMES)
def test_a_replacement_is_another_object(table: Table, server: ApiServer, kind: str) -> None:
    case = BY_KIND[kind]
    old = table.objects["repair"][kind]
    steps = table.results["replace"].steps()[kind.lower()]

    if "metadata" in case.replace:
        # Another name: the new object is made before the old one goes.
        assert steps.index("create-replacement") < steps.index("delete-replaced")
        assert table.objects["replace"][kind] is None
    else:
        # A fixed name can be used once: the old object goes first.
        assert steps.index("delete-replaced") < steps.index("create-replacement")
        assert uid(table.objects["replace"][kind]) != uid(old)


@pytest.mark.parametrize("kind", NAMES)
def test_a_preview_of_a_deletion_says_so_and_keeps_the_object(table: Table, kind: str) -> None:
    assert table.results["preview delete"].steps()[kind.lower()] == "delete"
    assert at(table.objects["preview delete"][kind], "metadata/uid") == at(
        table.objects["replace"][kind], "metadata/uid"
    )


@pytest.mark.parametrize("kind", NAMES)
def test_a_deletion_leaves_nothing(table: Table, server: ApiServer, kind: str) -> None:
    case = BY_KIND[kind]
    renamed = case.replace.get("metadata", {}).get("name")

    assert table.objects["delete"][kind] is None
    assert server.find(case.path(renamed)) is None


def test_the_second_up_counts_all_as_same(table: Table) -> None:
    assert table.results["again"].counts() == {"same": len(CASES) + len(FIRST) + 2}


def test_no_secret_stands_in_the_state_or_the_output(table: Table) -> None:
    for password in ("first-password", "second-password"):
        encoded = __import__("base64").b64encode(password.encode()).decode()
        for text in (*table.states.values(), *(entry.output for entry in table.results.values())):
            assert password not in text
            assert encoded not in text
