"""Who may ask the API server for what."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infra.platform import spaces

if TYPE_CHECKING:
    from tests.infra.platform.conftest import House

# What reads Secrets of a namespace, and why; nothing else may.
READS_SECRETS = {
    "gateway-own-role": "certificates of routes",
    "gateway-models-role": "Traefik's cache of a namespace does not start without them",
    "delivery-own-role": "one Secret by name: where notifications go",
}
BUILT_IN = {"system:auth-delegator"}


def rules(house: "House") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind, name, rule) of every role."""
    for kind in ("Role", "ClusterRole"):
        for role in house.engine.created(kind):
            for rule in role.inputs["rules"]:
                yield kind, role.name, rule


def test_no_rule_has_a_wildcard(house: "House") -> None:
    for _, name, rule in rules(house):
        for values in rule.values():
            assert "*" not in "".join(values), name


def test_no_rule_lets_anybody_raise_rights_run_commands_or_act_as_somebody(
    house: "House",
) -> None:
    for _, name, rule in rules(house):
        assert not {"escalate", "bind", "impersonate", "approve"} & set(rule["verbs"]), name
        assert not {"pods/exec", "pods/attach", "pods/portforward", "nodes/proxy"} & set(
            rule.get("resources", [])
        ), name
        assert "rbac.authorization.k8s.io" not in rule.get("apiGroups", []), name


def test_only_those_with_a_reason_read_secrets_and_nobody_in_the_whole_cluster(
    house: "House",
) -> None:
    readers = {
        (kind, name) for kind, name, rule in rules(house) if "secrets" in rule.get("resources", [])
    }

    assert readers == {("Role", name) for name in READS_SECRETS}


def test_the_delivery_controller_reads_no_secret_but_the_one_it_names(house: "House") -> None:
    named = [
        rule["resourceNames"]
        for _, name, rule in rules(house)
        if name.startswith("delivery") and "secrets" in rule.get("resources", [])
    ]

    assert named == [["argo-rollouts-notification-secret"]]


def test_cluster_roles_that_change_something_change_volumes_and_events_only(
    house: "House",
) -> None:
    writes = {"create", "update", "patch", "delete", "deletecollection"}
    changed = {
        resource
        for kind, _, rule in rules(house)
        if kind == "ClusterRole" and writes & set(rule["verbs"])
        for resource in rule.get("resources", [])
    }

    assert changed == {"persistentvolumes", "events"}


def test_the_gateway_changes_nothing(house: "House") -> None:
    verbs = {
        verb
        for _, name, rule in rules(house)
        if name.startswith("gateway")
        for verb in rule["verbs"]
    }

    assert verbs == {"get", "list", "watch"}


def test_every_binding_binds_an_account_of_the_platform_to_a_role_that_it_made(
    house: "House",
) -> None:
    accounts = {
        (one.inputs["metadata"]["namespace"], one.inputs["metadata"]["name"])
        for one in house.engine.created("ServiceAccount")
    }
    made = {
        (
            one.inputs["kind"],
            one.inputs["metadata"].get("namespace"),
            one.inputs["metadata"]["name"],
        )
        for kind in ("Role", "ClusterRole")
        for one in house.engine.created(kind)
    }
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for one in house.engine.created(kind):
            reference = one.inputs["roleRef"]
            namespace = one.inputs["metadata"].get("namespace")
            (subject,) = one.inputs["subjects"]
            assert (subject["namespace"], subject["name"]) in accounts, one.name
            assert (
                reference["name"] in BUILT_IN
                or reference["name"] == "extension-apiserver-authentication-reader"
                or (reference["kind"], namespace, reference["name"]) in made
            ), one.name


def test_models_and_helper_pods_have_accounts_without_any_right(house: "House") -> None:
    bound = {
        subject["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for one in house.engine.created(kind)
        for subject in one.inputs["subjects"]
    }

    assert not {spaces.MODEL_ACCOUNT, "local-path-helper", "doorkeeper", "registry"} & bound
