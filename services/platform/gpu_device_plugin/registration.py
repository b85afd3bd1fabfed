"""Being known to the kubelet, and becoming known again after it restarts.

A restarting kubelet forgets its plugins and removes every socket in its folder. So the folder is
watched: when the kubelet's socket is another one, or ours is gone, we serve and register anew.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc

from services.platform.gpu_device_plugin import deviceplugin_pb2 as pb
from services.platform.gpu_device_plugin import deviceplugin_pb2_grpc
from services.platform.gpu_device_plugin.plugin import OPTIONS, SimulatedGpus

RESOURCE = "nvidia.com/gpu"
ENDPOINT = "modelyard-simulated-gpu.sock"
KUBELET = "kubelet.sock"
LOOK_SECONDS = 1.0
REGISTER_SECONDS = 10.0
# One thread holds ListAndWatch, and for a moment a second one while a kubelet reconnects.
THREADS = 8

logger = logging.getLogger(__name__)


def advertise(devices: Sequence[str], folder: Path, stop: threading.Event) -> None:
    """Keep the simulated devices known to the kubelet of ``folder`` until ``stop`` is set."""
    logger.info("advertising %d simulated GPUs as %s", len(devices), RESOURCE)
    waiting = False
    while not stop.is_set():
        kubelet = _identity(folder / KUBELET)
        if kubelet is None:
            if not waiting:
                logger.info("waiting for the kubelet's socket in %s", folder)
                waiting = True
        else:
            waiting = False
            _while_known(devices, folder, kubelet, stop)
        stop.wait(LOOK_SECONDS)
    logger.info("stopped; the simulated GPUs are no longer advertised")


def _while_known(
    devices: Sequence[str], folder: Path, kubelet: tuple[int, int], stop: threading.Event
) -> None:
    """Serve, register, and return when this kubelet is gone or has removed our socket."""
    plugin = SimulatedGpus(devices)
    with _served(plugin, folder / ENDPOINT):
        ours = _identity(folder / ENDPOINT)
        try:
            _register(folder / KUBELET)
        except grpc.RpcError as error:
            # Its socket exists before it answers, and stays for a while after it died.
            logger.warning("the kubelet did not register the simulated GPUs yet: %s", error)
            return
        logger.info("registered with the kubelet")
        while not stop.wait(LOOK_SECONDS):
            if plugin.dropped.is_set():
                logger.info("the kubelet stopped watching: registering the simulated GPUs again")
                return
            if _identity(folder / KUBELET) != kubelet:
                logger.info("the kubelet's socket changed: registering the simulated GPUs again")
                return
            if _identity(folder / ENDPOINT) != ours:
                logger.info("our socket is gone: serving the simulated GPUs again")
                return


@contextmanager
def _served(plugin: SimulatedGpus, socket: Path) -> Iterator[None]:
    socket.unlink(missing_ok=True)  # left by a process that was killed
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS))
    # The generated code has no types.
    deviceplugin_pb2_grpc.add_DevicePluginServicer_to_server(plugin, server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(grace=None).wait()
        socket.unlink(missing_ok=True)


def _register(kubelet: Path) -> None:
    """Ask the kubelet to take us in; raises grpc.RpcError with its reason."""
    with grpc.insecure_channel(f"unix://{kubelet}") as channel:
        stub = deviceplugin_pb2_grpc.RegistrationStub(channel)  # type: ignore[no-untyped-call]
        stub.Register(
            pb.RegisterRequest(
                version="v1beta1", endpoint=ENDPOINT, resource_name=RESOURCE, options=OPTIONS
            ),
            timeout=REGISTER_SECONDS,
            wait_for_ready=False,
        )


def _identity(socket: Path) -> tuple[int, int] | None:
    """What tells a socket from a later one at the same path: inode numbers are used again."""
    try:
        status = socket.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns
