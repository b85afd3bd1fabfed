"""Who may ask the API server for what: accounts, roles, bindings. No rule has a ``*``."""

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from infra.contract import Contract
from infra.platform import pods

Rule = PolicyRuleArgs
READ = ("get", "list", "watch")
_GROUP = "rbac.authorization.k8s.io"


def account(
    name: str,
    contract: Contract,
    component: str,
    namespace: pulumi.Input[str],
    parent: pulumi.Resource,
) -> ServiceAccount:
    """An account without a token in its pods; a pod that needs one says so itself."""
    return ServiceAccount(
        f"{name}-account",
        metadata=pods.meta(contract, component, namespace),
        automount_service_account_token=False,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def rule(
    group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()
) -> Rule:
    """Verbs on resources of one API group, on the named objects only when names are given."""
    return PolicyRuleArgs(
        api_groups=[group],
        resources=list(resources),
        verbs=list(verbs),
        resource_names=list(names) or None,
    )


def in_namespace(
    name: str,
    contract: Contract,
    component: str,
    namespace: pulumi.Input[str],
    who: ServiceAccount,
    rules: Sequence[Rule],
    parent: pulumi.Resource,
) -> RoleBinding:
    """Give an account rights in one namespace, its own or another."""
    options = pulumi.ResourceOptions(parent=parent)
    role = Role(
        f"{name}-role",
        metadata=pods.meta(contract, component, namespace),
        rules=list(rules),
        opts=options,
    )
    return RoleBinding(
        f"{name}-binding",
        metadata=pods.meta(contract, component, namespace),
        role_ref=RoleRefArgs(api_group=_GROUP, kind="Role", name=role.metadata.name),
        subjects=[_subject(who)],
        opts=options,
    )


def in_cluster(
    name: str,
    contract: Contract,
    component: str,
    who: ServiceAccount,
    rules: Sequence[Rule],
    parent: pulumi.Resource,
) -> ClusterRoleBinding:
    """Give an account rights on what has no namespace, or is asked for in all of them."""
    options = pulumi.ResourceOptions(parent=parent)
    full = f"modelyard:{component}"
    role = ClusterRole(
        f"{name}-cluster-role",
        metadata=pods.meta(contract, component, None, full),
        rules=list(rules),
        opts=options,
    )
    return ClusterRoleBinding(
        f"{name}-cluster-binding",
        metadata=pods.meta(contract, component, None, full),
        role_ref=RoleRefArgs(api_group=_GROUP, kind="ClusterRole", name=role.metadata.name),
        subjects=[_subject(who)],
        opts=options,
    )


def as_built_in(
    name: str,
    contract: Contract,
    component: str,
    who: ServiceAccount,
    built_in: str,
    parent: pulumi.Resource,
) -> ClusterRoleBinding:
    """Bind an account to a cluster role that Kubernetes itself defines."""
    return ClusterRoleBinding(
        f"{name}-binding",
        metadata=pods.meta(contract, component, None, f"modelyard:{component}:{built_in}"),
        role_ref=RoleRefArgs(api_group=_GROUP, kind="ClusterRole", name=built_in),
        subjects=[_subject(who)],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _subject(who: ServiceAccount) -> SubjectArgs:
    return SubjectArgs(
        kind="ServiceAccount", name=who.metadata.name, namespace=who.metadata.namespace
    )
