"""How Bento runs a service; every `service.py` hands these to `@bentoml.service`."""

from typing import Any

SETTINGS: dict[str, Any] = {
    "workers": 1,  # a crashed worker is not started again in a container: more pods, not more workers
    "logging": {"access": {"enabled": False}},  # a tenth of the throughput; the gateway writes one
    "metrics": {"enabled": False},  # one series for each path that a scanner tries; ours are bounded
    "traffic": {"timeout": 10},  # also how long Bento keeps a timer for each answered request
}
