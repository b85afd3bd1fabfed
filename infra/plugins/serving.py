"""How a stand-in serves Pulumi's engine: on a loopback port, for as long as the engine lives."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from types import FrameType
from typing import NoReturn

import grpc

# Every wait for a workload holds one thread; the engine runs at most 16 operations per core.
WORKERS = 96
# Outputs of a large custom resource definition pass gRPC's default limit of 4 MiB.
MESSAGE_LIMIT = 400 * 1024 * 1024


def serve(register: Callable[[grpc.Server], None], at_exit: Callable[[], None]) -> NoReturn:
    """Serve until SIGINT, SIGTERM or the death of the engine; print the port first.

    ``at_exit`` runs before the process ends, with code 0 for any of these ends: all are orderly.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=WORKERS),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
        ],
    )
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    server.start()
    print(port, flush=True)
    threading.Thread(target=_watch_engine, args=(stopped,), daemon=True).start()
    stopped.wait()
    server.stop(grace=None)
    at_exit()
    sys.stdout.flush()
    # os._exit: calls that still wait for a cluster must not keep the process.
    os._exit(0)


def _watch_engine(stopped: threading.Event) -> None:
    """Stop when the engine's end of the standard input closes, as when the engine was killed."""
    while os.read(0, 4096):
        pass
    stopped.set()


def engine_address(arguments: list[str]) -> str:
    """The engine's address: Pulumi passes it as the last argument, after flags.

    Raises SystemExit with an explanation when a person starts the program by hand.
    """
    if arguments and ":" in arguments[-1] and not arguments[-1].startswith("-"):
        return arguments[-1]
    raise SystemExit(
        "This is a plugin: Pulumi's engine starts it, with its own address as last argument."
    )
