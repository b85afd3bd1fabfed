"""A plugin that plays pulumi-aws for the real engine: it makes nothing and invents every answer.

What was made is written down in a folder, so that tests see what each run did. The cluster that it
"makes" is an API server that the test has started. For tests alone: no code outside knows it.
"""

# ruff: noqa: N802 - names and signatures are the protocol's

import base64
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.plugins import serving
from infra.plugins.aws.server import OfflineAws
from tests.infra.foundation.answers import ANSWERS

FOLDER = "SIMULATED_ACCOUNT"
"""Variable with the folder: `journal` has what was done, `cluster.json` the address and authority
of the API server, and `broken`, if it is there, a part of the URN that cannot be created."""

CLUSTER = "aws:eks/cluster:Cluster"


class SimulatedAccount(OfflineAws):
    """Resources that exist in a journal alone."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Make a resource, unless the test broke it."""
        if request.preview:
            return super().Create(request, context)
        broken = self._folder / "broken"
        if broken.exists() and broken.read_text() in request.urn:
            context.abort(grpc.StatusCode.UNAVAILABLE, "simulated: AWS has no capacity for it")
        self._write("create", request.urn)
        return provider_pb2.CreateResponse(
            id=f"simulated-{_name(request.urn)}",
            properties=self._outputs(request.urn, request.properties),
        )

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Inputs that differ are an update."""
        before, after = (_plain(one) for one in (request.old_inputs, request.news))
        changed = sorted(key for key in before.keys() | after if before.get(key) != after.get(key))
        kind = provider_pb2.DiffResponse
        return kind(changes=kind.DIFF_SOME if changed else kind.DIFF_NONE, diffs=changed)

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Take the new inputs over."""
        if not request.preview:
            self._write("update", request.urn)
        return provider_pb2.UpdateResponse(properties=self._outputs(request.urn, request.news))

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """What the state says is so."""
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    def Delete(
        self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Strike it out."""
        self._write("delete", request.urn)
        return empty_pb2.Empty()

    def _outputs(self, urn: str, inputs: struct_pb2.Struct) -> struct_pb2.Struct:
        kind, given = urn.split("::")[2].rpartition("$")[2], _plain(inputs)
        given |= ANSWERS[kind](_name(urn), given) if kind in ANSWERS else {}
        if kind == CLUSTER:
            given |= json.loads((self._folder / "cluster.json").read_text())
        return json_format.ParseDict(given, struct_pb2.Struct())

    def _write(self, what: str, urn: str) -> None:
        with self._lock, (self._folder / "journal").open("a") as journal:
            journal.write(f"{what} {urn}\n")


def journal(folder: Path) -> list[str]:
    """What was done so far, in order."""
    path = folder / "journal"
    return path.read_text().splitlines() if path.exists() else []


def cluster(folder: Path, url: str, authority: Path) -> None:
    """Say which API server the account's cluster is."""
    data = base64.b64encode(authority.read_bytes()).decode()
    document = {"endpoint": url, "certificateAuthority": {"data": data}}
    (folder / "cluster.json").write_text(json.dumps(document))


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _plain(given: struct_pb2.Struct) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(given)
    return found


def main() -> NoReturn:
    """Serve the engine whose address is the last argument of the command line."""
    serving.engine_address(sys.argv[1:])
    servicer = SimulatedAccount(Path(os.environ[FOLDER]))
    serving.serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server),
        at_exit=lambda: None,
    )
