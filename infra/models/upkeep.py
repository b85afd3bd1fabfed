"""What keeps a model up without anybody watching: scaling, drains, and its Services."""

from pulumi_kubernetes import autoscaling, core, meta, policy

from infra.models import labels
from infra.models.release import Release

CPU_PERCENT = 70
"""Of the requested cores, averaged over pods, at which the autoscaler adds one."""


def scaling(release: Release) -> autoscaling.v2.HorizontalPodAutoscalerSpecArgs:
    """The autoscaler's spec. It is the only owner of the number of pods."""
    return autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
        scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
            api_version="argoproj.io/v1alpha1", kind="Rollout", name=release.name
        ),
        min_replicas=release.replicas.min,
        max_replicas=release.replicas.max,
        metrics=[
            autoscaling.v2.MetricSpecArgs(
                type="Resource",
                resource=autoscaling.v2.ResourceMetricSourceArgs(
                    name="cpu",
                    target=autoscaling.v2.MetricTargetArgs(
                        type="Utilization", average_utilization=CPU_PERCENT
                    ),
                ),
            )
        ],
    )


def disruption(name: str) -> policy.v1.PodDisruptionBudgetSpecArgs:
    """A drain takes one pod at a time; a lone pod may be taken, else its node never drains."""
    return policy.v1.PodDisruptionBudgetSpecArgs(
        max_unavailable=1,
        selector=meta.v1.LabelSelectorArgs(match_labels=labels.selector(name)),
    )


def ports(name: str) -> core.v1.ServiceSpecArgs:
    """A Service's spec as it is made; Argo Rollouts narrows the selector to one version."""
    return core.v1.ServiceSpecArgs(
        selector=labels.selector(name),
        ports=[
            core.v1.ServicePortArgs(
                name=labels.PORT_NAME, port=labels.PORT, target_port=labels.PORT_NAME
            )
        ],
    )
