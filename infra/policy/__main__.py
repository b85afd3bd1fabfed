"""The policy pack, which `pulumi preview --policy-pack infra/policy` runs. `yard` always does."""

import os

from pulumi_policy import PolicyPack

from infra.policy import PROJECT, pack
from infra.refusal import Refusal

try:
    policies = pack.here(os.environ.get(PROJECT))
except Refusal as refused:
    raise SystemExit(f"policy pack: {refused}") from None  # the engine shows its last words
PolicyPack(name=pack.NAME, policies=policies)
