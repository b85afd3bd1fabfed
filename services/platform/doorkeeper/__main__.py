"""``python -m services.platform.doorkeeper``: serve until SIGTERM, then finish what runs."""

import os
from pathlib import Path

import uvicorn

from services.platform.doorkeeper.app import doorkeeper
from services.platform.doorkeeper.tokens import Tokens

PORT = 8080
# Traefik keeps connections to us open for 90 s when idle; closing later than it does means that it
# never sends a request on a connection that we are just closing.
KEEP_ALIVE_SECONDS = 120
GRACE_SECONDS = 15


def main() -> None:
    """Read the token file once, so that an unsound one stops the start, then serve."""
    tokens = Tokens(Path(os.environ.get("DOORKEEPER_TOKENS", "/etc/doorkeeper/tokens")))
    tokens.hashes()
    uvicorn.run(
        doorkeeper(tokens),
        host="0.0.0.0",  # noqa: S104 - in a pod: the pod's own network, nothing of the machine
        port=PORT,
        loop="auto",  # uvloop and httptools, which requirements.lock puts into the image
        http="auto",
        access_log=False,
        server_header=False,
        log_level="info",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
