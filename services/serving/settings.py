"""How Bento runs a service; every `service.py` hands these to `@bentoml.service`."""

from typing import Any

SETTINGS: dict[str, Any] = {
    # Bento does not start a crashed worker again in a container: more pods, not more workers.
    "workers": 1,
    # A tenth of the throughput; the gateway writes one.
    "logging": {"access": {"enabled": False}},
    # They make a series of each path that a scanner tries; ours are bounded.
    "metrics": {"enabled": False},
    # Also how long Bento keeps a timer for each answered request.
    "traffic": {"timeout": 10},
}
