"""ModelService: one model behind the gateway, from its pods to its paths."""

import pulumi
from pulumi_kubernetes import apiextensions, autoscaling, core, meta, policy

from infra.models import labels, routes, upkeep, workload
from infra.models.wanted import ModelServiceArgs

ROLLOUTS = "argoproj.io/v1alpha1"
TRAEFIK = "traefik.io/v1alpha1"


class ModelService(pulumi.ComponentResource):
    """A model's Rollout, Services, routes, autoscaler and guards, in the namespace ``models``.

    It does not own what changes by itself while it runs: the number of pods is the autoscaler's,
    the weights of the split and the Services' selectors are Argo Rollouts'. Who may connect to its
    pods is the namespace's, which infra/platform makes.
    """

    path: pulumi.Output[str]
    key: pulumi.Output[str]
    """What its objects were made from; known when all of them are what it says."""

    def __init__(
        self, name: str, args: ModelServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:models:ModelService", name, None, opts)
        release = args.release
        model = release.name

        def metadata(object_name: str, **annotations: str) -> meta.v1.ObjectMetaArgs:
            return meta.v1.ObjectMetaArgs(
                name=object_name,
                namespace=labels.NAMESPACE,
                labels=labels.labels(model, args.environment),
                annotations={f"pulumi.com/{key}": value for key, value in annotations.items()}
                or None,
            )

        services = [
            core.v1.Service(
                f"{name}-{role}",
                # The Rollout, which needs both Services, makes the pods that they would wait for.
                metadata=metadata(object_name, skipAwait="true"),
                spec=upkeep.ports(model),
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["spec.selector"]),
            )
            for role, object_name in (
                ("stable", labels.stable(model)),
                ("canary", labels.canary(model)),
            )
        ]
        transport = apiextensions.CustomResource(
            f"{name}-transport",
            api_version=TRAEFIK,
            kind="ServersTransport",
            metadata=metadata(model),
            spec=routes.transport(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        split = apiextensions.CustomResource(
            f"{name}-split",
            api_version=TRAEFIK,
            kind="TraefikService",
            metadata=metadata(model),
            spec=routes.split(model),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*services, transport],
                ignore_changes=["spec.weighted.services"],
            ),
        )
        rollout = apiextensions.CustomResource(
            f"{name}-rollout",
            api_version=ROLLOUTS,
            kind="Rollout",
            # A canary may pause for days. `yard` waits, and says earlier what a pod lacks.
            metadata=metadata(model, skipAwait="true"),
            spec=workload.rollout(
                release, args.image, args.environment, args.pool, args.pull_secret
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[split]),
        )
        scaling = autoscaling.v2.HorizontalPodAutoscaler(
            f"{name}-scaling",
            metadata=metadata(model),
            spec=upkeep.scaling(release),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rollout]),
        )
        disruption = policy.v1.PodDisruptionBudget(
            f"{name}-disruption",
            metadata=metadata(model),
            spec=upkeep.disruption(model),
            opts=pulumi.ResourceOptions(parent=self),
        )
        middlewares = [
            apiextensions.CustomResource(
                f"{name}-{role}",
                api_version=TRAEFIK,
                kind="Middleware",
                metadata=metadata(object_name),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for role, object_name, spec in (
                ("strip-prefix", routes.strip_name(model), routes.strip(model)),
                ("retry", routes.retry_name(model), routes.retry()),
            )
        ]
        paths = apiextensions.CustomResource(
            f"{name}-paths",
            api_version=TRAEFIK,
            kind="IngressRoute",
            metadata=metadata(model),
            spec=routes.paths(model, args.entry_point, args.host),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[split, *middlewares]),
        )
        self.path = pulumi.Output.from_input(f"/{model}/")
        made = [*services, transport, split, rollout, scaling, disruption, *middlewares, paths]
        self.key = pulumi.Output.all(*(one.id for one in made)).apply(lambda _: args.key)
        self.register_outputs({"path": self.path, "key": self.key})
