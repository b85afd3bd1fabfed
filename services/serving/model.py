"""What a service is built from: a model of some kind, as its `service.py` declares it.

A kind (`classifier.Classifier` is one) knows what requests look like, runs the graph, and writes
answers. Everything else of a service is the same for all kinds and stands in `application`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from services.serving.artifact import Artifact
from services.serving.metrics import Metrics

Answer = Callable[[bytes], Awaitable[bytes]]
"""From a request's body to the answer's; raises Fault for a body that breaks a rule."""


class Facts(NamedTuple):
    """Which model answers, as each answer tells it."""

    name: str
    version: str
    digest: str | None
    """Of the image; None outside of one."""


class Session(Protocol):
    """A loaded model."""

    def run(self, request: Any) -> Any:
        """Ask about what Model.read returned: all of the model's work, nothing of a server's."""

    def answering(self, metrics: Metrics, facts: Facts) -> Answer:
        """Join Model.read, :meth:`run` and the answer's form, and count what is answered."""


class Model(Protocol):
    """A model of some kind. `MODEL` in each `service.py` is one."""

    @property
    def name(self) -> str:
        """Of its folder, its YAML file and its path on the gateway."""

    @property
    def summary(self) -> str:
        """One sentence for the people who call it."""

    @property
    def route(self) -> str:
        """The path that takes POST."""

    @property
    def remedy(self) -> str:
        """How to send a good request."""

    def read(self, content: bytes) -> Any:
        """Check a request's body; raises Fault for anything that breaks a rule."""

    def open(self, found: Artifact) -> Session:
        """Load the model; raises ValueError where it is not what was declared."""

    def schemas(self) -> dict[str, Any]:
        """OpenAPI schemas; `Request` and `Answer` are among them."""
