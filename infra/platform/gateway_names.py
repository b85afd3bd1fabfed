"""How a model's route refers to what all routes share. ``infra/models`` imports these.

The middlewares stand once, in the gateway's namespace; Traefik runs with allowCrossNamespace, so
that a route in another namespace may name them (docs/adr/0011).
"""

from infra.platform import spaces

NAMESPACE = spaces.GATEWAY
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
