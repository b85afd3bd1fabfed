"""A team's cluster: hosts and Kubernetes by our playbooks, and none of the platform.

`python -m tests.existing.owner`, in a checkout that has Pulumi.owner.yaml, brings it up as far as
nodes. What the team runs on it are plain manifests (files/), which tests.existing.team applies.
"""

import sys

from ci.pipeline import credentials, engine, hosts, lock
from ci.toolchain import images, provide, supply
from infra import environment

NAME = "owner"
TEAMS = ("modelyard/registry", "modelyard/traefik", "modelyard/prometheus")
"""Images that nodes get besides Kubernetes': all others can only come from the team's registry."""


def say(text: str, done: int, total: int) -> None:
    """Progress as lines of a log."""
    print(f"{done}/{total} {text}" if total else text, file=sys.stderr)


def main() -> None:
    """Bring the cluster up."""
    env = environment.load(NAME)
    with lock.hold(env.name):
        provide.ensure(env, say)
        engine.ensure(say)
        credentials.ensure(env)
        source = supply.resolve(env)
        wanted = [name for name in images.names() if "/" not in name or name in TEAMS]
        hosts.up(env, {name: images.ensure(name, say, source) for name in wanted}, say)


if __name__ == "__main__":
    main()
