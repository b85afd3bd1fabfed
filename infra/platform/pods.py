"""What every pod of the platform has: labels, limits, probes, and as few rights as can be."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ContainerArgs,
    EmptyDirVolumeSourceArgs,
    HTTPGetActionArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    ServiceAccount,
    SleepActionArgs,
    TopologySpreadConstraintArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from infra.contract import Contract

NAME = "app.kubernetes.io/name"
# A user that owns nothing on a node and has no name in any image.
NOBODY = 65532
# The gateway hears of a leaving pod within some two seconds (its updates are throttled); until then
# the pod still answers. Afterwards requests under way have the rest of the grace period.
DRAIN_SECONDS = 10


def labels(contract: Contract, component: str) -> dict[str, str]:
    """Labels of everything that belongs to a component."""
    return {
        NAME: component,
        "app.kubernetes.io/managed-by": "pulumi",
        "modelyard.dev/environment": contract.environment,
    }


def meta(
    contract: Contract, component: str, namespace: pulumi.Input[str] | None, name: str | None = None
) -> ObjectMetaArgs:
    """Metadata of an object that belongs to a component; it has the component's name by default."""
    return ObjectMetaArgs(
        name=name or component, namespace=namespace, labels=labels(contract, component)
    )


def locked(*, user: int | None = None, add: Sequence[str] = ()) -> SecurityContextArgs:
    """A container that can gain nothing. ``user`` 0 and ``add`` need a reason where they stand."""
    return SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=CapabilitiesArgs(drop=["ALL"], add=list(add) or None),
        run_as_non_root=None if user is None else user != 0,
        run_as_user=user,
    )


def confined(user: int = NOBODY) -> PodSecurityContextArgs:
    """A pod of one numeric user, which may read the Secrets that are mounted for its group."""
    return PodSecurityContextArgs(
        run_as_non_root=user != 0,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
    )


def resources(
    cpu: str, memory: str, *, cpu_limit: str, memory_limit: str
) -> ResourceRequirementsArgs:
    """What a container is promised, and what it may use."""
    return ResourceRequirementsArgs(
        requests={"cpu": cpu, "memory": memory}, limits={"cpu": cpu_limit, "memory": memory_limit}
    )


def probe(
    path: str, port: str, *, scheme: str = "HTTP", period: int = 10, failures: int = 3
) -> ProbeArgs:
    """An HTTP probe. Five seconds to answer: the machine may be busy with builds."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port, scheme=scheme),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def starting(path: str, port: str, *, scheme: str = "HTTP", seconds: int = 120) -> ProbeArgs:
    """A startup probe: asked every 2 s, and patient, so that a slow start is no crash loop."""
    return probe(path, port, scheme=scheme, period=2, failures=seconds // 2)


def drained() -> LifecycleArgs:
    """For those that the gateway asks: a pod that is told to end answers on, for DRAIN_SECONDS."""
    return LifecycleArgs(
        pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=DRAIN_SECONDS))
    )


def scratch(name: str, path: str, size: str = "64Mi") -> tuple[VolumeArgs, VolumeMountArgs]:
    """A folder that a container with a read-only root may write."""
    return (
        VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(size_limit=size)),
        VolumeMountArgs(name=name, mount_path=path),
    )


def digest(files: Mapping[str, str]) -> str:
    """A hash that changes with the files: as a pod's annotation it restarts the pods with them."""
    return hashlib.sha256("\0".join(files.values()).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A Deployment, as far as platform components differ from each other."""

    contract: Contract
    component: str
    namespace: pulumi.Input[str]
    containers: Sequence[ContainerArgs]
    account: ServiceAccount
    calls_api: bool
    """Whether the pod gets its account's token: only for those that speak to the API server."""
    volumes: Sequence[VolumeArgs] = ()
    replicas: int = 1
    recreate: bool = False
    """Stop the old pod first: for those that own a volume or a node's socket."""
    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    grace_seconds: int = 30


def deployment(
    name: str, work: Workload, parent: pulumi.Resource, needs: Sequence[pulumi.Resource] = ()
) -> Deployment:
    """Run a workload on the platform's nodes, with a disruption budget when it has replicas."""
    marks = labels(work.contract, work.component)
    selector = LabelSelectorArgs(match_labels={NAME: work.component})
    options = pulumi.ResourceOptions(parent=parent, depends_on=list(needs))
    if work.replicas > 1:
        PodDisruptionBudget(
            f"{name}-budget",
            metadata=meta(work.contract, work.component, work.namespace),
            spec=PodDisruptionBudgetSpecArgs(selector=selector, min_available=1),
            opts=pulumi.ResourceOptions(parent=parent),
        )
    return Deployment(
        f"{name}-deployment",
        metadata=meta(work.contract, work.component, work.namespace),
        spec=DeploymentSpecArgs(
            replicas=work.replicas,
            revision_history_limit=2,
            selector=selector,
            strategy=_strategy(work),
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(labels=marks, annotations=dict(work.annotations)),
                spec=PodSpecArgs(
                    service_account_name=work.account.metadata.name,
                    automount_service_account_token=work.calls_api,
                    # Services become environment variables otherwise, which some programs read
                    # as their own settings.
                    enable_service_links=False,
                    node_selector=work.contract.pool("cpu").labels,
                    security_context=confined(),
                    termination_grace_period_seconds=work.grace_seconds,
                    topology_spread_constraints=_apart(selector) if work.replicas > 1 else None,
                    containers=list(work.containers),
                    volumes=list(work.volumes),
                ),
            ),
        ),
        opts=options,
    )


def _strategy(work: Workload) -> DeploymentStrategyArgs:
    if work.recreate:
        return DeploymentStrategyArgs(type="Recreate")
    return DeploymentStrategyArgs(
        type="RollingUpdate",
        rolling_update=RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
    )


def _apart(selector: LabelSelectorArgs) -> list[TopologySpreadConstraintArgs]:
    """On different nodes where there are several; one node takes all of them otherwise."""
    return [
        TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key="kubernetes.io/hostname",
            when_unsatisfiable="ScheduleAnyway",
            label_selector=selector,
        )
    ]
