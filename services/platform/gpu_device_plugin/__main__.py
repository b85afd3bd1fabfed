"""``python -m services.platform.gpu_device_plugin``: advertise simulated GPUs until SIGTERM."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from services.platform.gpu_device_plugin.devices import simulated
from services.platform.gpu_device_plugin.registration import advertise

KUBELET_FOLDER = "/var/lib/kubelet/device-plugins"


def main() -> int:
    """Read the count from MODELYARD_GPUS and serve; 2 when the count is no number from 1 to 16."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        devices = simulated(os.environ.get("MODELYARD_GPUS", ""))
    except ValueError as error:
        logging.error("%s", error)
        return 2
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    advertise(devices, Path(os.environ.get("MODELYARD_KUBELET_FOLDER", KUBELET_FOLDER)), stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
