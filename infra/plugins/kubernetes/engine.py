"""Messages to the person who runs `pulumi`, through the engine's log."""

import threading

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class Log:
    """The engine's log. What cannot be delivered is dropped: it is never the result."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def status(self, urn: str, text: str) -> None:
        """Show what a resource waits for; the next line replaces it."""
        self._send(engine_pb2.INFO, urn, text, ephemeral=True)

    def info(self, urn: str, text: str) -> None:
        """Say something about a resource."""
        self._send(engine_pb2.INFO, urn, text)

    def warn_once(self, text: str) -> None:
        """Warn about the whole operation, once."""
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        self._send(engine_pb2.WARNING, "", text)

    def _send(
        self,
        severity: engine_pb2.LogSeverity.ValueType,
        urn: str,
        text: str,
        *,
        ephemeral: bool = False,
    ) -> None:
        request = engine_pb2.LogRequest(
            severity=severity, message=text, urn=urn, ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=5)
        except grpc.RpcError:
            # The engine is shutting down; nobody reads.
            return
