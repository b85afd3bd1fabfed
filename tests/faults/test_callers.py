"""Callers that behave badly, and services whose scratch space is full."""

import concurrent.futures
import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.victims import Pod, pods, processes, restarts
from tests.system.house import House, Kubernetes, run, told, until

pytestmark = pytest.mark.faults

DIGITS = "modelyard.dev/model=digits"
PREDICT = "/digits/v1/predict"
CONNECTIONS = 10_000
REQUESTS = 100_000
WARM = 40_000
"""Requests after which a process has everything in memory that it will ever keep."""

GROWTH_MIB = 10
"""Bytes that may come on top over REQUESTS: a tenth of a kilobyte for each is a leak."""


def head(house: House, length: int) -> bytes:
    return (
        f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def connect(house: House, address: tuple[str, int] | None = None) -> ssl.SSLSocket:
    """A connection to the gateway, by its published port or by another way to it."""
    where = address or ("127.0.0.1", house.environment.published.gateway)
    plain = socket.create_connection(where, timeout=30)
    return house.trust.wrap_socket(plain, server_hostname="127.0.0.1")


def predictions(gateway: httpx.Client, example: dict[str, Any], number: int) -> list[int]:
    """Statuses of so many predictions of 64 images each."""
    body = {"images": (example["images"] * 64)[:64]}
    return [gateway.post(PREDICT, json=body).status_code for _ in range(number)]


def test_a_slow_caller_is_hung_up_on_and_holds_up_nobody(
    house: House, gateway: httpx.Client, example: dict[str, Any]
) -> None:
    body = json.dumps({"images": example["images"][:1]}).encode()
    began = time.monotonic()
    with connect(house) as slow:
        slow.sendall(head(house, len(body)))
        slow.settimeout(0.5)
        ended = False
        for byte in body:
            try:
                slow.sendall(bytes([byte]))
                slow.recv(1)
                ended = True  # an answer, or the end
            except TimeoutError:
                assert set(predictions(gateway, example, 1)) == {200}
            except OSError:
                ended = True
            if ended:
                break
    took = time.monotonic() - began

    assert ended
    assert took < 60, "the gateway's limit is 30 s"
    assert set(predictions(gateway, example, 20)) == {200}


@pytest.fixture
def frozen(kubernetes: Kubernetes) -> Iterator[None]:
    """All pods of digits stand still: they take connections and answer nothing."""
    found = [process for pod in pods(kubernetes, "models", DIGITS) for process in processes(pod)]
    for process in found:
        os.kill(process, signal.SIGSTOP)
    yield
    for process in found:
        with contextlib.suppress(ProcessLookupError):  # its kubelet may have ended it
            os.kill(process, signal.SIGCONT)


def test_a_request_that_outlives_its_deadline_is_answered_for_the_model(
    house: House, example: dict[str, Any], frozen: None
) -> None:
    with house.gateway() as patient:
        answer = patient.post(PREDICT, json={"images": example["images"][:1]}, timeout=60)

    # 504 when the pods still counted as ready, 503 when they did no longer.
    assert answer.status_code in (503, 504), answer.text
    assert set(answer.json()["error"]) == {"code", "message", "remedy"}


def test_when_the_model_moves_again_it_answers(
    gateway: httpx.Client, example: dict[str, Any]
) -> None:
    until(
        "predictions come",
        lambda: set(predictions(gateway, example, 5)) == {200},
        seconds=120,
    )


# What mounts and fills does it in the pod's view of the files, from outside: no image has a shell.
SCRATCH = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def done(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
done(libc.setns(os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY), 0))
if sys.argv[2] == "take":
    done(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b"size=64k,mode=1777"))
    descriptor = os.open("/tmp/full", os.O_CREAT | os.O_WRONLY)
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except OSError as error:
        print(error.strerror)
else:
    done(libc.umount2(b"/tmp", 2))
"""


def scratch(pod: Pod, what: str) -> str:
    """Take or give back the scratch space of a pod's first container."""
    process = processes(pod, pod["spec"]["containers"][0]["name"])[0]
    result = run("python3", "-c", SCRATCH, str(process), what)
    assert result.returncode == 0, told(result)
    return result.stdout.strip()


@pytest.fixture(
    params=[("models", DIGITS), ("gateway", "app.kubernetes.io/name=traefik")],
    ids=["model", "gateway"],
)
def full_scratch(request: pytest.FixtureRequest, kubernetes: Kubernetes) -> Iterator[list[Pod]]:
    """Every pod of a service with a full file system of 64 KiB in the place of its /tmp."""
    found = pods(kubernetes, *request.param)
    for pod in found:
        assert scratch(pod, "take") == "No space left on device"
    yield found
    for pod in found:
        scratch(pod, "give back")


def test_a_service_without_scratch_space_goes_on_answering(
    house: House,
    kubernetes: Kubernetes,
    full_scratch: list[Pod],
    example: dict[str, Any],
) -> None:
    before = {pod["metadata"]["uid"]: restarts(pod) for pod in full_scratch}
    # Connections of their own: the other pod of two must not answer all of them.
    for _ in range(10):
        with house.gateway() as gateway:
            assert set(predictions(gateway, example, 5)) == {200}
            large = gateway.post(PREDICT, content=b" " * (1024 * 1024 + 1))
            assert large.status_code == 413, large.text
    time.sleep(12)  # two rounds of the readiness probe

    namespace = full_scratch[0]["metadata"]["namespace"]
    after = {
        pod["metadata"]["uid"]: restarts(pod)
        for pod in pods(kubernetes, namespace, "")
        if pod["metadata"]["uid"] in before
    }
    assert after == before


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for as many connections as this machine allows one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= CONNECTIONS + 500, f"`ulimit -Hn` is {hard}: raise it for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_connections_keep_nobody_out(
    house: House,
    kubernetes: Kubernetes,
    gateway: httpx.Client,
    example: dict[str, Any],
    many_files: None,
) -> None:
    """By a node's own port, as callers of a cluster come.

    The engine's forwarder on 127.0.0.1 takes six files a connection; docs/faults.md has its limit.
    """
    control = house.environment.nodes()[0]
    entry = (control.address, house.environment.node_ports.gateway)
    before = {p["metadata"]["uid"]: restarts(p) for p in pods(kubernetes, "gateway", "")}
    with contextlib.ExitStack() as held, concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = 0
        for connection in pool.map(lambda _: connect(house, entry), range(CONNECTIONS)):
            held.enter_context(connection)
            made += 1
        assert made == CONNECTIONS
        assert set(predictions(gateway, example, 50)) == {200}
        with house.gateway() as fresh:
            assert set(predictions(fresh, example, 5)) == {200}

    after = {p["metadata"]["uid"]: restarts(p) for p in pods(kubernetes, "gateway", "")}
    assert after == before
    assert set(predictions(gateway, example, 50)) == {200}


ASK = """
import http.client, json, sys, threading
address, number, body = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
bad = []
def ask(count):
    connection = http.client.HTTPConnection(address, 3000, timeout=30)
    for _ in range(count):
        connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            bad.append(answer.status)
threads = [threading.Thread(target=ask, args=(number // 4,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(bad))
"""


def resident(pod: Pod) -> float:
    """MiB of memory that the pod's processes have, as the kernel counts it."""
    pages = 0
    for process in processes(pod):
        fields = Path(f"/proc/{process}/statm").read_text().split()
        pages += int(fields[1]) - int(fields[2])  # without files that others share
    return pages * resource.getpagesize() / 2**20


def test_the_memory_of_a_model_stays_flat_over_a_hundred_thousand_requests(
    kubernetes: Kubernetes, example: dict[str, Any]
) -> None:
    pod = pods(kubernetes, "models", DIGITS)[0]
    body = json.dumps({"images": example["images"][:1]})

    def ask(number: int) -> None:
        # From the node itself: neither the gateway nor the other pods take a share.
        node = f"modelyard-test-{pod['spec']['nodeName']}"
        asked: subprocess.CompletedProcess[str] = run(
            *("docker", "exec", node, "python3", "-c", ASK),
            *(pod["status"]["podIP"], str(number), body),
        )
        assert asked.returncode == 0, told(asked)
        assert json.loads(asked.stdout) == []

    ask(WARM)
    measured = [resident(pod)]
    for _ in range(4):
        ask(REQUESTS // 4)
        measured.append(resident(pod))
    print("MiB of a model's pod: " + ", ".join(f"{mib:.1f}" for mib in measured))

    assert max(measured) - measured[0] < GROWTH_MIB, measured
