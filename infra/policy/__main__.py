"""The policy pack, which `pulumi preview --policy-pack infra/policy` runs. `yard` always does."""

from pulumi_policy import PolicyPack

from infra.policy import pack

PolicyPack(name=pack.NAME, policies=pack.here())
