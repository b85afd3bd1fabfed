"""Where modelyard keeps what does not belong in a checkout."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def cache() -> Path:
    """Content-keyed results that any environment may share and anybody may delete."""
    return _base("XDG_CACHE_HOME", ".cache") / "modelyard"


def state(environment: str) -> Path:
    """State, passphrase, credentials, contract and releases of one environment on this machine."""
    return _base("XDG_STATE_HOME", ".local/state") / "modelyard" / environment


def data(environment: str) -> Path:
    """Backups of one environment and the key to them, which outlive its state and `yard down`."""
    return _base("XDG_DATA_HOME", ".local/share") / "modelyard" / environment


def _base(variable: str, fallback: str) -> Path:
    # The XDG rule: a relative path in the variable is invalid and is ignored.
    value = Path(os.environ.get(variable, ""))
    return value if value.is_absolute() else Path.home() / fallback
