"""What is still to be fetched when nobody answers: a refusal that lists all of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ci.toolchain import doctor, network
from infra import places
from infra.environment import Environment
from infra.refusal import Refusal


@contextmanager
def needed(env: Environment) -> Iterator[None]:
    """Refuse where something has to be fetched and nobody answers; lists all that is missing."""
    try:
        yield
    except network.Unreachable as silent:
        missing = [one.name for one in doctor.inspect(env) if one.state != "ok"]
        raise Refusal(
            "network",
            str(silent),
            f"nobody answers, and these are not in {places.cache()} yet:"
            f" {', '.join(missing) or 'what was asked for'}",
            "Connect this machine, name mirrors that it can reach (docs/closed-network.md), or copy"
            " that folder from a machine of the same kind that has everything.",
        ) from silent
