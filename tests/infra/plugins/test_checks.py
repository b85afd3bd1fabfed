"""What Check completes and refuses, and how values travel; without a server."""

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from infra.plugins.kubernetes import checks, errors, objects, values
from infra.plugins.kubernetes.cluster import Cluster, Settings
from infra.plugins.kubernetes.values import UNKNOWN, Secret

AUTONAMING = provider_pb2.CheckRequest.AutonamingOptions


def request(token: str, **fields: Any) -> provider_pb2.CheckRequest:
    return provider_pb2.CheckRequest(
        urn=f"urn:pulumi:test::trial::{token}::thing",
        type=token,
        name="thing",
        randomSeed=b"seed",
        **fields,
    )


def check(
    token: str, news: dict[str, Any], olds: dict[str, Any] | None = None, **fields: Any
) -> checks.Checked:
    cluster = Cluster(Settings(kubeconfig="/nowhere/kubeconfig", namespace="ours"))
    return checks.check(cluster, request(token, **fields), news, olds or {})


CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def test_kind_and_default_namespace_are_filled_in() -> None:
    found = check(CONFIG_MAP, {"metadata": {"name": "a"}})

    assert found.failures == []
    assert found.inputs == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "ours"},
    }


def test_a_kind_without_namespace_gets_none_and_may_not_have_one() -> None:
    token = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"

    assert check(token, {"metadata": {"name": "a"}}).inputs["metadata"] == {"name": "a"}
    failures = check(token, {"metadata": {"name": "a", "namespace": "b"}}).failures
    assert failures == [("metadata.namespace", "a ClusterRole has no namespace. Remove it.")]


def test_a_custom_kind_that_nobody_knows_yet_keeps_its_metadata() -> None:
    found = check("kubernetes:example.test/v1:Thing", {"metadata": {"name": "a"}})

    assert found.inputs["metadata"] == {"name": "a"}


def test_a_missing_name_is_made_of_the_resources_name_and_marked() -> None:
    metadata = check(CONFIG_MAP, {}).inputs["metadata"]

    assert metadata["name"].startswith("thing-")
    assert metadata["annotations"] == {objects.AUTONAMED: "true"}


def test_the_same_seed_gives_the_same_name() -> None:
    assert check(CONFIG_MAP, {}).inputs == check(CONFIG_MAP, {}).inputs


def test_an_automatic_name_is_kept() -> None:
    olds = {"metadata": {"name": "thing-old", "annotations": {objects.AUTONAMED: "true"}}}

    assert check(CONFIG_MAP, {}, olds).inputs["metadata"]["name"] == "thing-old"


def test_a_name_that_was_given_once_is_not_kept() -> None:
    olds = {"metadata": {"name": "fixed"}}

    assert check(CONFIG_MAP, {}, olds).inputs["metadata"]["name"].startswith("thing-")


def test_the_engines_own_naming_is_obeyed() -> None:
    proposed = AUTONAMING(proposed_name="exactly", mode=AUTONAMING.ENFORCE)
    disabled = AUTONAMING(mode=AUTONAMING.DISABLE)

    assert check(CONFIG_MAP, {}, autonaming=proposed).inputs["metadata"]["name"] == "exactly"
    assert check(CONFIG_MAP, {}, autonaming=disabled).failures[0][0] == "metadata.name"


def test_generate_name_is_refused() -> None:
    found = check(CONFIG_MAP, {"metadata": {"generateName": "a-"}})

    assert found.failures[0][0] == "metadata.generateName"


def test_a_name_that_is_not_known_yet_is_left_alone() -> None:
    found = check(CONFIG_MAP, {"metadata": {"name": UNKNOWN}})

    assert found.inputs["metadata"]["name"] is UNKNOWN


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:core/v1:ConfigMapPatch",
        "kubernetes:core/v1:ConfigMapList",
        "kubernetes:rbac.authorization.k8s.io/v1:RoleList",
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:yaml:ConfigFile",
        "kubernetes:kustomize:Directory",
        "nonsense",
    ],
)
def test_what_is_not_served_is_refused_by_name(token: str) -> None:
    (failure,) = check(token, {}).failures

    assert failure[1].startswith(f"{token} is not served by this stand-in")


def test_a_custom_kind_may_be_called_a_list() -> None:
    assert objects.kind_of("kubernetes:example.test/v1:AllowList") == (
        "example.test/v1",
        "AllowList",
    )


def test_the_content_of_a_secret_is_always_secret() -> None:
    found = check(
        "kubernetes:core/v1:Secret",
        {"metadata": {"name": "a"}, "data": {"b": "Yg=="}, "stringData": {"c": "d"}},
    )

    assert found.inputs["data"] == {"b": Secret("Yg==")}
    assert found.inputs["stringData"] == {"c": Secret("d")}


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"renderYamlToDirectory": "out"}, "renderYamlToDirectory"),
        ({"enableServerSideApply": "false"}, "enableServerSideApply"),
        ({"skipUpdateUnreachable": "true"}, "skipUpdateUnreachable"),
        ({"helmReleaseSettings": "{}"}, "helmReleaseSettings"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(given: dict[str, str], key: str) -> None:
    assert [name for name, _ in checks.settings(given)] == [key]


def test_ordinary_settings_are_taken() -> None:
    given = {"kubeconfig": "x", "namespace": "y", "enableServerSideApply": "true"}

    assert checks.settings(given) == []


def test_values_survive_the_wire() -> None:
    tree = {
        "whole": 1,
        "part": 0.5,
        "text": "a",
        "no": False,
        "nothing": None,
        "list": [1, {"a": []}],
        "secret": Secret({"b": "c"}),
        "later": UNKNOWN,
    }

    assert values.read(values.write(tree)) == tree


def test_a_number_without_fraction_is_an_integer_for_the_server() -> None:
    read = values.read(values.write({"replicas": 3.0}))["replicas"]

    assert isinstance(read, int)


def test_secrets_are_found_and_marked_again() -> None:
    tree = {"a": {"b": Secret("x")}, "c": [Secret("y")]}
    found = list(values.secret_paths(tree))

    assert found == [("a", "b"), ("c", 0)]
    assert values.marked(values.plain(tree), found) == tree


def test_marks_inside_of_a_secret_do_not_nest() -> None:
    assert values.marked({"a": Secret("x")}, [("a",)]) == {"a": Secret("x")}


def test_an_error_is_cleared_of_secrets_in_every_form() -> None:
    text = 'Invalid value: "hunter2": aHVudGVyMg== or hunter2'

    assert errors.cleared(text, ["hunter2"]) == 'Invalid value: "[secret]": [secret] or [secret]'
    assert errors.cleared(text, ["aHVudGVyMg=="]) == (
        'Invalid value: "[secret]": [secret] or [secret]'
    )


def test_a_very_short_secret_does_not_shred_a_message() -> None:
    assert errors.cleared("a cat sat", ["a"]) == "a cat sat"
