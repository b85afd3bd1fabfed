"""How a servicer's method answers: with a result, or with an error that the engine understands."""

import functools
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from infra.plugins.kubernetes import values
from infra.plugins.kubernetes.errors import ClusterError, cleared
from infra.plugins.kubernetes.objects import NotServed

Result = TypeVar("Result")
DETAILS = "grpc-status-details-bin"


class InitFailed(Exception):  # noqa: N818 - the protocol calls it so
    """An object that was made and did not become ready; the engine keeps it in its state."""

    def __init__(self, identifier: str, outputs: Any, inputs: Any, reasons: list[str]) -> None:
        self.identifier, self.outputs, self.inputs = identifier, outputs, inputs
        self.reasons = reasons
        super().__init__("\n".join(reasons))


def answered(method: Callable[[Any, Any, Any], Result]) -> Callable[[Any, Any, Any], Result]:
    """Turn exceptions into the protocol's errors, cleared of every secret of the request."""

    @functools.wraps(method)
    def wrapper(self: Any, request: Any, context: grpc.ServicerContext) -> Result:
        try:
            return method(self, request, context)
        except InitFailed as error:
            _init_failed(error, list(_secrets(request)), context)
        except (ClusterError, NotServed) as error:
            context.abort(grpc.StatusCode.UNKNOWN, cleared(str(error), _secrets(request)))
        except Exception:
            text = f"The stand-in for the Kubernetes plugin has a fault:\n{traceback.format_exc()}"
            context.abort(grpc.StatusCode.INTERNAL, cleared(text, _secrets(request)))
        raise AssertionError("abort raises")

    return wrapper


def _secrets(request: Any) -> list[str]:
    found: list[str] = []
    for name in ("properties", "news", "olds", "inputs", "old_inputs"):
        bag = getattr(request, name, None)
        if bag is not None:
            found += values.secret_strings(values.read(bag))
    return found


class _Status(grpc.Status):  # type: ignore[misc]  # grpc has no types
    def __init__(self, details: str, packed: bytes) -> None:
        self.code = grpc.StatusCode.UNKNOWN
        self.details = details
        self.trailing_metadata = ((DETAILS, packed),)


def _init_failed(error: InitFailed, secrets: list[str], context: grpc.ServicerContext) -> NoReturn:
    reasons = [cleared(reason, secrets) for reason in error.reasons]
    # One reason: the engine numbers several as if they were causes of their own.
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.identifier,
        properties=values.write(error.outputs),
        inputs=values.write(error.inputs),
        reasons=["\n    ".join(reasons)],
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    status = status_pb2.Status(
        code=grpc.StatusCode.UNKNOWN.value[0], message=reasons[0], details=[packed]
    )
    context.abort_with_status(_Status(reasons[0], status.SerializeToString()))
    raise AssertionError("abort_with_status raises")
