"""The Pulumi program ``modelyard-models``: one ModelService per release of the environment."""

import pulumi
import pulumi_kubernetes as kubernetes

from infra import contract, environment
from infra.models.model_service import ModelService, arguments
from infra.models.release import releases
from infra.platform import known

here = environment.load(pulumi.get_stack())
facts = contract.load(here)
cluster = kubernetes.Provider("cluster", kubeconfig=known.kubeconfig(facts))

for release in releases(here):
    ModelService(
        release.name, arguments(release, facts), pulumi.ResourceOptions(providers=[cluster])
    )
