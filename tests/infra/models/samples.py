"""A release to test with: its image and its report exist nowhere."""

from typing import Any

from infra.models.release import Release, Resources


def release(name: str = "digits", **more: Any) -> Release:
    """A release of `name` with ``more`` fields, in place of these."""
    given: dict[str, Any] = {
        "version": "1.0.0",
        "digest": "sha256:" + "a" * 64,
        "report": "sha256:" + "f" * 64,
        "resources": Resources(cpu="250m", memory="256Mi"),
    }
    return Release(name=name, **given | more)
