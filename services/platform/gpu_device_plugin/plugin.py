"""The kubelet's device plugin protocol (v1beta1), answered for simulated devices."""

import logging
import threading
from collections.abc import Iterator, Sequence

import grpc

from services.platform.gpu_device_plugin import deviceplugin_pb2 as pb
from services.platform.gpu_device_plugin import deviceplugin_pb2_grpc
from services.platform.gpu_device_plugin.devices import environment, preferred

logger = logging.getLogger(__name__)

OPTIONS = pb.DevicePluginOptions(pre_start_required=False, get_preferred_allocation_available=True)


class SimulatedGpus(deviceplugin_pb2_grpc.DevicePluginServicer):
    """Answers one kubelet. Devices never fail; they are as healthy as the process."""

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = list(devices)
        self.dropped = threading.Event()
        """Set once the kubelet has stopped watching: it then thinks the devices unhealthy."""

    def GetDevicePluginOptions(  # noqa: N802
        self,
        request: pb.Empty,  # noqa: ARG002
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.DevicePluginOptions:
        """Preferred allocation is there, a call before each container start is not needed."""
        return OPTIONS

    def ListAndWatch(  # noqa: N802
        self,
        request: pb.Empty,  # noqa: ARG002
        context: grpc.ServicerContext,
    ) -> Iterator[pb.ListAndWatchResponse]:
        """Tell the devices once, and keep the stream open: its end would make them unhealthy."""
        if not context.add_callback(self.dropped.set):
            return
        yield pb.ListAndWatchResponse(
            devices=[pb.Device(ID=name, health="Healthy") for name in self._devices]
        )
        self.dropped.wait()

    def GetPreferredAllocation(  # noqa: N802
        self,
        request: pb.PreferredAllocationRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.PreferredAllocationResponse:
        """The lowest numbers first, so that an allocation can be foretold."""
        return pb.PreferredAllocationResponse(
            container_responses=[
                pb.ContainerPreferredAllocationResponse(
                    deviceIDs=preferred(
                        asked.available_deviceIDs,
                        asked.must_include_deviceIDs,
                        asked.allocation_size,
                    )
                )
                for asked in request.container_requests
            ]
        )

    def Allocate(  # noqa: N802
        self, request: pb.AllocateRequest, context: grpc.ServicerContext
    ) -> pb.AllocateResponse:
        """Name the simulated devices to the container; a device that is not ours is refused."""
        for asked in request.container_requests:
            for name in asked.devices_ids:
                if name not in self._devices:
                    context.abort(
                        grpc.StatusCode.INVALID_ARGUMENT,
                        f"{name} is none of the simulated devices {self._devices}",
                    )
            logger.info("allocated simulated devices %s", list(asked.devices_ids))
        return pb.AllocateResponse(
            container_responses=[
                pb.ContainerAllocateResponse(envs=environment(asked.devices_ids))
                for asked in request.container_requests
            ]
        )

    def PreStartContainer(  # noqa: N802
        self,
        request: pb.PreStartContainerRequest,  # noqa: ARG002
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.PreStartContainerResponse:
        """Nothing to do before a start; the kubelet does not ask for it either."""
        return pb.PreStartContainerResponse()
