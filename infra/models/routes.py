"""How requests reach a model: the split between versions, the paths, and what guards them."""

from infra.models import labels
from infra.platform import gateway_names as gateway

ANSWER_WITHIN = "30s"
# Shorter than the 5 s after which BentoML's server closes an idle connection: a request must not
# be sent on one that is just being closed.
IDLE = "3s"


def split(name: str) -> dict[str, object]:
    """The TraefikService's spec as it is made; Argo Rollouts owns the weights from then on."""
    return {
        "weighted": {
            "services": [
                {
                    "kind": "Service",
                    "name": service,
                    "port": labels.PORT,
                    "serversTransport": name,
                    "weight": weight,
                }
                for service, weight in ((labels.stable(name), 100), (labels.canary(name), 0))
            ]
        }
    }


def transport() -> dict[str, object]:
    """How the gateway talks to a model's pods, and how long it waits for them."""
    return {
        "forwardingTimeouts": {
            "dialTimeout": gateway.CONNECT_WITHIN,
            "responseHeaderTimeout": ANSWER_WITHIN,
            "idleConnTimeout": IDLE,
        }
    }


def strip(name: str) -> dict[str, object]:
    """Pods know nothing of the prefix under which the gateway shows them."""
    return {"stripPrefix": {"prefixes": [f"/{name}"]}}


def retry() -> dict[str, object]:
    """Ask another pod when one cannot be connected to.

    A request that went out to a pod which then died is repeated by the gateway's own buffer.
    """
    return {"retry": {"attempts": 3, "initialInterval": "50ms"}}


def paths(name: str, entry_point: str, host: str | None) -> dict[str, object]:
    """The IngressRoute's spec: predictions need a token, health does not, metrics stay inside."""
    predictions = f"PathPrefix(`/{name}/`) && !Path(`/{name}/metrics`)"
    shared = [
        {"name": each, "namespace": gateway.NAMESPACE}
        for each in (gateway.ERRORS, gateway.AUTH, gateway.BODY_LIMIT)
    ]
    own = [{"name": strip_name(name)}, {"name": retry_name(name)}]
    service = [{"kind": "TraefikService", "name": name}]
    health = " || ".join(f"Path(`/{name}/{page}`)" for page in ("healthz", "livez", "readyz"))
    return {
        "entryPoints": [entry_point],
        "tls": {},
        "routes": [
            {
                "kind": "Rule",
                "match": gateway.at(host, predictions),
                "priority": gateway.OF_MODELS,
                "middlewares": [*shared, *own],
                "services": service,
            },
            {
                "kind": "Rule",
                "match": gateway.at(host, health),
                "priority": gateway.OF_HEALTH,
                "middlewares": [shared[0], *own],
                "services": service,
            },
        ],
    }


def strip_name(name: str) -> str:
    """Name of the Middleware made by :func:`strip`."""
    return f"{name}-strip-prefix"


def retry_name(name: str) -> str:
    """Name of the Middleware made by :func:`retry`."""
    return f"{name}-retry"
