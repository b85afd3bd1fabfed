"""The bodies of errors that the gateway makes: what happened, and what to do about it."""

from typing import NamedTuple


class Fault(NamedTuple):
    """One kind of error, in the words that a caller reads."""

    code: str
    message: str
    remedy: str

    def body(self) -> dict[str, dict[str, str]]:
        """The only form of an error body in modelyard."""
        return {"error": self._asdict()}


FAULTS = {
    400: Fault(
        "bad_request",
        "The gateway could not read the request.",
        "Send a well-formed HTTP request.",
    ),
    401: Fault(
        "unauthorized",
        "No bearer token, or one that is not known here.",
        "Send `Authorization: Bearer TOKEN`; `yard status` names the file that holds the token.",
    ),
    403: Fault(
        "forbidden",
        "The token does not allow this.",
        "Ask the owner of the environment for access.",
    ),
    404: Fault(
        "not_found",
        "Nothing is served at this path.",
        "`yard status` lists the models; `GET /NAME/docs.json` says what a model takes, and where.",
    ),
    405: Fault(
        "method_not_allowed",
        "The path exists, but not for this method.",
        "Predictions are asked for with POST.",
    ),
    413: Fault(
        "body_too_large",
        "The body is larger than 1 MiB.",
        "Send fewer inputs in one request.",
    ),
    429: Fault(
        "too_many_requests",
        "More requests than this path takes.",
        "Wait, then send again more slowly.",
    ),
    500: Fault(
        "internal_error",
        "The request failed inside the service.",
        "Send it again; if it fails again, look at `yard logs NAME`.",
    ),
    502: Fault(
        "bad_gateway",
        "The model's pod broke the connection before it answered.",
        "Send the request again; if it fails again, look at `yard logs NAME`.",
    ),
    503: Fault(
        "unavailable",
        "No pod of this model is ready.",
        "Wait until `yard status` shows a ready version, then send the request again.",
    ),
    504: Fault(
        "gateway_timeout",
        "The model did not answer in time.",
        "Send fewer inputs in one request, or send it again later.",
    ),
}


def fault(status: int) -> Fault:
    """Words for a status; ones that are not in the table get their class's."""
    if status in FAULTS:
        return FAULTS[status]
    return FAULTS[400] if 400 <= status < 500 else FAULTS[500]
