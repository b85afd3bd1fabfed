"""The Pulumi program ``modelyard-models``: one ModelService per release of the environment."""

import pulumi

from infra.models import wanted
from infra.models.model_service import ModelService
from infra.platform import site

environment, contract = site.load(pulumi.get_stack())
on = pulumi.ResourceOptions(providers=[site.cluster(contract)])

with site.refusals():
    services = wanted.wanted(environment, contract, wanted.only())
for args in services:
    ModelService(args.release.name, args, on)
