"""What can go wrong at an API server, in words that name the object and the remedy."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

# Shorter strings ("a", "443") stand in messages for other reasons than being the secret.
SECRET_MIN = 4


class ClusterError(Exception):
    """A cluster that cannot do what was asked; the text is for the person who ran `pulumi`."""


class Unreachable(ClusterError):  # noqa: N818 - it is a state of the cluster
    """No API server answers, or none is configured yet."""


class NoSuchKind(ClusterError):  # noqa: N818
    """The API server does not serve this kind (yet)."""


class ApiError(ClusterError):
    """An answer of the API server that is not success."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.reason = str(body.get("reason", ""))
        self.message = str(body.get("message", f"HTTP status {status}"))
        details = body.get("details") or {}
        self.kind = str(details.get("kind", ""))
        self.causes: list[dict[str, str]] = details.get("causes") or []
        self.retry_after: int = details.get("retryAfterSeconds") or 0
        super().__init__(self.message)

    @property
    def namespace_missing(self) -> bool:
        """Whether it is the namespace, not the object, that was not found."""
        return self.status == 404 and self.kind == "namespaces"

    @property
    def terminating(self) -> bool:
        """Whether the namespace is being deleted, so that nothing can be made in it for now."""
        return self.status == 403 and any(
            cause.get("reason") == "NamespaceTerminating" for cause in self.causes
        )

    @property
    def conflict(self) -> bool:
        """Whether another field manager owns what this apply would change."""
        return self.status == 409 and any(
            cause.get("reason") == "FieldManagerConflict" for cause in self.causes
        )

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in (429, 502, 503, 504) or (
            self.status == 500 and ("etcdserver" in self.message or "timeout" in self.message)
        )


def conflict(error: ApiError, what: str, force: str) -> ClusterError:
    """Say which fields belong to which manager, and how to take them over or to let them be."""
    lines = [
        f"  {cause.get('field', '?').lstrip('.')}: {cause.get('message', 'owned by another')}"
        for cause in error.causes
    ]
    return ClusterError(
        f"{what}: fields of it belong to another field manager:\n" + "\n".join(lines) + "\n"
        f'To take them over, set the annotation {force}: "true" on the object in the program. '
        "To leave them to their owner, remove them from the program or name them in ignore_changes."
    )


def cleared(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, plain, base64-encoded or base64-decoded."""
    forms: set[str] = set()
    for secret in secrets:
        forms |= {secret, base64.b64encode(secret.encode()).decode()}
        try:
            forms.add(base64.b64decode(secret, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= SECRET_MIN:
            text = text.replace(form, "[secret]")
    return text
