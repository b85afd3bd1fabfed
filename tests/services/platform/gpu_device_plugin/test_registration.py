"""The plugin against a kubelet that speaks real gRPC over a unix socket."""

import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from services.platform.gpu_device_plugin import deviceplugin_pb2 as pb
from services.platform.gpu_device_plugin import deviceplugin_pb2_grpc as rpc
from services.platform.gpu_device_plugin.devices import simulated
from services.platform.gpu_device_plugin.registration import advertise

PATIENCE = 60.0  # seconds; only a broken plugin waits that long


class FakeKubelet(rpc.RegistrationServicer):
    """Takes registrations and, like the real one, removes all sockets when it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registrations: queue.Queue[pb.RegisterRequest] = queue.Queue()
        self.refusals = 0
        self._server: grpc.Server | None = None

    def start(self) -> None:
        for socket in self.folder.glob("*.sock"):
            socket.unlink()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        rpc.add_RegistrationServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self._server.add_insecure_port(f"unix://{self.folder}/kubelet.sock")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait()
            (self.folder / "kubelet.sock").unlink(missing_ok=True)

    def Register(  # noqa: N802
        self, request: pb.RegisterRequest, context: grpc.ServicerContext
    ) -> pb.Empty:
        if self.refusals:
            self.refusals -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        self.registrations.put(request)
        return pb.Empty()

    def registered(self) -> pb.RegisterRequest:
        return self.registrations.get(timeout=PATIENCE)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="kubelet-") as folder:
        yield Path(folder)


@pytest.fixture
def kubelet(folder: Path) -> Iterator[FakeKubelet]:
    kubelet = FakeKubelet(folder)
    yield kubelet
    kubelet.stop()


@pytest.fixture
def plugin(folder: Path) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=advertise, args=(simulated("2"), folder, stop))
    thread.start()
    yield
    stop.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not list(folder.glob("modelyard-*.sock"))


@pytest.fixture
def stub(folder: Path, kubelet: FakeKubelet, plugin: None) -> Iterator[rpc.DevicePluginStub]:
    kubelet.start()
    request = kubelet.registered()
    with grpc.insecure_channel(f"unix://{folder}/{request.endpoint}") as channel:
        yield rpc.DevicePluginStub(channel)  # type: ignore[no-untyped-call]


def watched(folder: Path, request: pb.RegisterRequest) -> list[str]:
    """Devices that the kubelet hears of after a registration."""
    with grpc.insecure_channel(f"unix://{folder}/{request.endpoint}") as channel:
        stub = rpc.DevicePluginStub(channel)  # type: ignore[no-untyped-call]
        stream = stub.ListAndWatch(pb.Empty(), timeout=PATIENCE)
        return [device.ID for device in next(stream).devices]


def test_it_registers_the_resource_under_its_own_socket(
    folder: Path, kubelet: FakeKubelet, plugin: None
) -> None:
    kubelet.start()
    request = kubelet.registered()

    assert request.version == "v1beta1"
    assert request.resource_name == "nvidia.com/gpu"
    assert request.options.get_preferred_allocation_available
    assert (folder / request.endpoint).is_socket()
    assert "simulated" in request.endpoint


def test_it_lists_the_devices_and_keeps_the_stream_open(stub: rpc.DevicePluginStub) -> None:
    stream = stub.ListAndWatch(pb.Empty())
    first = next(stream)

    assert [(device.ID, device.health) for device in first.devices] == [
        ("simulated-gpu-0", "Healthy"),
        ("simulated-gpu-1", "Healthy"),
    ]
    assert stream.is_active()
    stream.cancel()


def test_it_tells_a_container_which_simulated_devices_it_holds(stub: rpc.DevicePluginStub) -> None:
    answer = stub.Allocate(
        pb.AllocateRequest(
            container_requests=[
                pb.ContainerAllocateRequest(devices_ids=["simulated-gpu-1"]),
                pb.ContainerAllocateRequest(devices_ids=["simulated-gpu-0"]),
            ]
        )
    )

    assert [
        container.envs["MODELYARD_SIMULATED_GPU"] for container in answer.container_responses
    ] == ["simulated-gpu-1", "simulated-gpu-0"]
    assert not answer.container_responses[0].devices


def test_it_refuses_a_device_that_it_does_not_have(stub: rpc.DevicePluginStub) -> None:
    request = pb.AllocateRequest(
        container_requests=[pb.ContainerAllocateRequest(devices_ids=["simulated-gpu-2"])]
    )

    with pytest.raises(grpc.RpcError) as failure:
        stub.Allocate(request)

    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "none of the simulated devices" in failure.value.details()


def test_it_prefers_the_lowest_numbers(stub: rpc.DevicePluginStub) -> None:
    answer = stub.GetPreferredAllocation(
        pb.PreferredAllocationRequest(
            container_requests=[
                pb.ContainerPreferredAllocationRequest(
                    available_deviceIDs=["simulated-gpu-1", "simulated-gpu-0"], allocation_size=1
                )
            ]
        )
    )

    assert list(answer.container_responses[0].deviceIDs) == ["simulated-gpu-0"]


def test_its_options_ask_for_no_call_before_a_start(stub: rpc.DevicePluginStub) -> None:
    options = stub.GetDevicePluginOptions(pb.Empty())

    assert not options.pre_start_required
    assert stub.PreStartContainer(pb.PreStartContainerRequest()) == pb.PreStartContainerResponse()


def test_it_waits_for_a_kubelet_that_is_not_there_yet(
    folder: Path, kubelet: FakeKubelet, plugin: None
) -> None:
    assert not (folder / "kubelet.sock").exists()
    kubelet.start()

    assert watched(folder, kubelet.registered()) == ["simulated-gpu-0", "simulated-gpu-1"]


def test_it_registers_again_after_the_kubelet_restarted(
    folder: Path, kubelet: FakeKubelet, plugin: None
) -> None:
    kubelet.start()
    kubelet.registered()

    for _ in range(2):
        kubelet.stop()
        kubelet.start()  # removes the plugin's socket

        assert watched(folder, kubelet.registered()) == ["simulated-gpu-0", "simulated-gpu-1"]


def test_it_serves_again_when_only_its_own_socket_was_removed(
    folder: Path, kubelet: FakeKubelet, plugin: None
) -> None:
    kubelet.start()
    (folder / kubelet.registered().endpoint).unlink()

    assert watched(folder, kubelet.registered()) == ["simulated-gpu-0", "simulated-gpu-1"]


def test_it_registers_again_when_the_kubelet_stopped_watching(
    folder: Path, kubelet: FakeKubelet, plugin: None
) -> None:
    kubelet.start()
    watched(folder, kubelet.registered())  # ends its stream when it has read the list

    assert watched(folder, kubelet.registered()) == ["simulated-gpu-0", "simulated-gpu-1"]


def test_it_tries_again_when_the_kubelet_does_not_register_it_at_first(
    folder: Path, kubelet: FakeKubelet, plugin: None
) -> None:
    kubelet.refusals = 2
    kubelet.start()

    assert watched(folder, kubelet.registered()) == ["simulated-gpu-0", "simulated-gpu-1"]
    assert kubelet.refusals == 0


def test_the_program_leaves_no_socket_behind_on_sigterm(folder: Path, kubelet: FakeKubelet) -> None:
    kubelet.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.platform.gpu_device_plugin"],
        env={"MODELYARD_GPUS": "1", "MODELYARD_KUBELET_FOLDER": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        endpoint = folder / kubelet.registered().endpoint
        assert endpoint.is_socket()
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert not endpoint.exists()
    assert all("simulated" in line or "registered" in line for line in output.splitlines())


def test_the_program_refuses_a_count_that_is_no_number(folder: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "services.platform.gpu_device_plugin"],
        env={"MODELYARD_GPUS": "many", "MODELYARD_KUBELET_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert finished.returncode == 2
    assert "MODELYARD_GPUS is 'many'" in finished.stdout
