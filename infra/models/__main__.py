"""The Pulumi program ``modelyard-models``: one ModelService per release of the environment."""

import pulumi

from infra.models.model_service import ModelService, wanted
from infra.platform import site

environment, contract = site.load(pulumi.get_stack())
on = pulumi.ResourceOptions(providers=[site.cluster(contract)])

for args in wanted(environment, contract):
    ModelService(args.release.name, args, on)
