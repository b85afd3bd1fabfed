"""What every model service shares: the hot route, checks, error bodies, metrics, documents."""

import os

# ONNX Runtime tells its vendor about each start and keeps a device id, unless it finds this when it
# is imported; its own call to turn that off comes too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
