"""Requests that cannot be answered: every one gets the same body, and never a stack trace."""

import orjson


class Fault(Exception):  # noqa: N818 - the caller's fault, not an error of the service
    """A refused request: status, a code for programs, a message and a remedy for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        remedy: str,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.remedy = status, code, message, remedy
        self.headers = headers

    def body(self) -> bytes:
        """The JSON that the gateway's own errors have, too."""
        error = {"code": self.code, "message": self.message, "remedy": self.remedy}
        return orjson.dumps({"error": error})


INTERNAL = Fault(
    500,
    "internal",
    "the service could not answer",
    "Try again. If it stays, look at the log: yard logs NAME.",
)
"""An error of ours: what happened is in the log, not in the body."""
