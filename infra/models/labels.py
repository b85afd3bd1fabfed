"""Names and labels of what belongs to one model. Names never change while a model lives."""

from infra.platform import spaces

NAMESPACE = spaces.MODELS
PORT = spaces.MODEL_PORT_NUMBER
PORT_NAME = spaces.MODEL_PORT
MODEL = spaces.MODEL_LABEL
VERSION = spaces.VERSION_LABEL


def labels(name: str, environment: str) -> dict[str, str]:
    """Labels of every object of a model."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "model",
        "app.kubernetes.io/managed-by": "pulumi",
        "modelyard.dev/environment": environment,
        MODEL: name,
    }


def pod_labels(name: str, environment: str, version: str) -> dict[str, str]:
    """Labels of a model's pods: their version too, and that their metrics are to be read."""
    return {**labels(name, environment), VERSION: version, spaces.SCRAPE_LABEL: "true"}


def selector(name: str) -> dict[str, str]:
    """What tells a model's pods from all others."""
    return {MODEL: name}


def stable(name: str) -> str:
    """The Service in front of the version that was there before."""
    return f"{name}-stable"


def canary(name: str) -> str:
    """The Service in front of the version that is being tried."""
    return f"{name}-canary"
