"""Property paths and comparisons, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plugins.kubernetes import immutable, live, paths
from infra.plugins.kubernetes.paths import ANY


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec", ("spec",)),
        ("spec.replicas", ("spec", "replicas")),
        ("spec.containers[0].image", ("spec", "containers", 0, "image")),
        ("spec.ports[*].nodePort", ("spec", "ports", ANY, "nodePort")),
        ('metadata.annotations["a.b/c"]', ("metadata", "annotations", "a.b/c")),
        ('data["with \\"quotes\\""]', ("data", 'with "quotes"')),
    ],
)
def test_a_path_reads_as_pulumi_writes_it(text: str, path: tuple[str | int, ...]) -> None:
    assert paths.parse(text) == path


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a property path"):
        paths.parse("spec[")


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
STEPS = st.lists(KEYS | st.integers(0, 99), min_size=1).filter(lambda steps: steps[0] != ANY)


@given(STEPS.map(tuple).filter(lambda path: ANY not in path and isinstance(path[0], str)))
def test_a_written_path_reads_back(path: tuple[str | int, ...]) -> None:
    assert paths.parse(paths.write(path)) == path


def test_a_pattern_covers_itself_and_what_is_inside() -> None:
    pattern = paths.parse("spec.weighted.services[*].weight")

    assert paths.covers(pattern, ("spec", "weighted", "services", 1, "weight"))
    assert paths.covers(("spec",), ("spec", "replicas"))
    assert not paths.covers(pattern, ("spec", "weighted", "services", 1, "name"))
    assert not paths.covers(("spec", "replicas"), ("spec",))


def test_differences_are_the_smallest_paths() -> None:
    old = {"a": 1, "b": [1, {"c": 2}], "d": {}}
    new = {"a": 1, "b": [1, {"c": 3}, 4], "e": None}

    assert list(paths.differences(old, new)) == [("b", 1, "c"), ("b", 2), ("d",), ("e",)]


def test_a_number_and_a_truth_value_differ() -> None:
    assert list(paths.differences({"a": 1}, {"a": True})) == [("a",)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_a_tree_does_not_differ_from_itself(tree: object) -> None:
    assert list(paths.differences(tree, tree)) == []
    assert list(paths.deviations(tree, tree, tree)) == []


def test_a_deviation_outside_of_the_shape_is_passed_over() -> None:
    shape = {"spec": {"replicas": 1}}

    assert (
        list(
            paths.deviations(
                shape, {"spec": {"replicas": 1, "x": 1}}, {"spec": {"replicas": 1, "x": 2}}
            )
        )
        == []
    )


def test_list_items_are_told_apart_by_name() -> None:
    shape = [{"name": "b", "image": "2"}]
    one = [{"name": "a", "image": "9"}, {"name": "b", "image": "2"}]
    other = [{"name": "a", "image": "8"}, {"name": "b", "image": "3"}]

    assert list(paths.deviations(shape, one, other)) == [(0, "image")]


def test_lists_of_other_lengths_deviate_as_a_whole() -> None:
    shape = [{"name": "a"}]

    assert list(paths.deviations(shape, [{"name": "a"}], [{"name": "a"}, {"name": "b"}])) == [()]


def test_live_values_replace_what_a_pattern_names() -> None:
    tree = {"spec": {"services": [{"name": "a", "weight": 1}, {"name": "b", "weight": 2}]}}
    found = {"spec": {"services": [{"name": "b", "weight": 8}, {"name": "a", "weight": 9}]}}

    replaced = paths.replaced(tree, paths.parse("spec.services[*].weight"), found)

    assert replaced == {
        "spec": {"services": [{"name": "a", "weight": 9}, {"name": "b", "weight": 8}]}
    }


def test_a_live_value_that_is_missing_removes_the_field_and_nothing_is_added() -> None:
    assert paths.replaced({"a": 1}, ("a",), {}) == {}
    assert paths.replaced({}, ("a",), {"a": 1}) == {}


def test_replacing_leaves_the_given_tree_alone() -> None:
    tree = {"a": {"b": 1}}
    paths.replaced(tree, ("a", "b"), {"a": {"b": 2}})

    assert tree == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("group", "kind", "path", "old", "fixed"),
    [
        ("apps", "Deployment", "spec.selector.matchLabels.app", {}, True),
        ("apps", "Deployment", "spec.replicas", {}, False),
        ("batch", "Job", "spec.template.spec.containers", {}, True),
        ("batch", "Job", "spec.parallelism", {}, False),
        ("", "PersistentVolumeClaim", "spec.accessModes", {}, True),
        ("", "PersistentVolumeClaim", "spec.resources.requests.storage", {}, False),
        ("", "ConfigMap", "data.a", {"immutable": True}, True),
        ("", "ConfigMap", "data.a", {}, False),
        ("", "Secret", "type", {}, True),
        ("", "Secret", "data.a", {"immutable": False}, False),
        ("", "Service", "spec.clusterIP", {"spec": {"type": "ClusterIP"}}, True),
        ("", "Service", "spec.type", {"spec": {"type": "ClusterIP"}}, False),
        ("", "Pod", "spec.containers[0].image", {}, False),
        ("", "Pod", "spec.containers[0].env", {}, True),
        ("rbac.authorization.k8s.io", "RoleBinding", "roleRef.name", {}, True),
        ("argoproj.io", "Rollout", "spec.selector", {}, False),
    ],
)
def test_fields_that_need_a_new_object_are_known_by_kind(
    group: str, kind: str, path: str, old: dict[str, object], fixed: bool
) -> None:
    changed = paths.parse(path)

    assert immutable.among(group, kind, [changed], old) == ([changed] if fixed else [])


def test_string_data_of_a_secret_is_compared_as_data() -> None:
    inputs = {"kind": "Secret", "stringData": {"password": "abc"}}
    stored = {"data": {"password": "YWJj"}}
    other = {"data": {"password": "eHl6"}}

    assert live.drift(inputs, stored, stored) == []
    assert live.live_inputs(inputs, stored, other)["stringData"] == {"password": "xyz"}


def test_an_imported_object_has_nothing_that_the_server_sets() -> None:
    found = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "labels": {"b": "c"}},
        "status": {"x": 1},
        "data": {"d": "e"},
    }

    assert live.imported(found) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"b": "c"}},
        "data": {"d": "e"},
    }
