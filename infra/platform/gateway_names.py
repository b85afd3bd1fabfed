"""How a model's route refers to what all routes share. ``infra/models`` imports these.

The middlewares stand once, in the gateway's namespace; Traefik runs with allowCrossNamespace, so
that a route in another namespace may name them (docs/adr/0011).
"""

from infra.platform import spaces

NAMESPACE = spaces.GATEWAY
ENTRY_POINT = "websecure"

ERRORS = "errors"
AUTH = "auth"
BODY_LIMIT = "body-limit"
ANY_ERROR = "any-error"
NOT_FOUND = "not-found"

BODY_LIMIT_BYTES = 1024 * 1024
DOORKEEPER_PORT = 8080
