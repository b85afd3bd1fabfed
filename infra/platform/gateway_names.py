"""How a model's route refers to what all routes share. ``infra/models`` imports these.

The middlewares stand once, in the gateway's namespace; Traefik runs with allowCrossNamespace, so
that a route in another namespace may name them (docs/adr/0011).
"""

from infra.platform import spaces

NAMESPACE = spaces.GATEWAY
# Of the platform's own gateway; a contract says it of any.
ENTRY_POINT = "websecure"

# Of each gateway for itself alone: by it the gateway asks the doorkeeper.
INNER_ENTRY_POINT = "inner"
INNER_PORT = 8081

ERRORS = "errors"
AUTH = "auth"
AUTH_RETRY = "auth-retry"
AUTH_AGAIN = "auth-again"
BODY_LIMIT = "body-limit"
ANY_ERROR = "any-error"
NOT_FOUND = "not-found"

BODY_LIMIT_BYTES = 1024 * 1024
DOORKEEPER_PORT = 8080
# Whoever went with its node answers nothing, not even a refusal; Traefik's own patience is 30 s.
CONNECT_WITHIN = "2s"

# Above the length of any rule, which is the priority of a route that names none: a team's gateway
# has such routes, too.
_ABOVE_OTHERS = 10_000
LAST = _ABOVE_OTHERS + 1
OF_MODELS = _ABOVE_OTHERS + 10
OF_HEALTH = _ABOVE_OTHERS + 20
FIRST = _ABOVE_OTHERS + 1000


def at(host: str | None, rule: str) -> str:
    """A route's rule, kept to our host name where the gateway serves others as well."""
    return f"Host(`{host}`) && ({rule})" if host else rule
