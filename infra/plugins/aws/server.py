"""The offline AWS provider: takes inputs, knows no outputs, and asks nobody anything.

It serves previews only. What AWS would answer (identifiers, ARNs, addresses, defaults) is unknown
in its outputs, never invented; what makes nothing without AWS is refused.
"""

# ruff: noqa: ARG002, N802 - names and signatures are the protocol's

import sys
from importlib import metadata
from typing import NoReturn

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.plugins import serving

PACKAGE = "pulumi-aws"
REMEDY = "Offline there is no AWS: run this with credentials and the real plugin."


class OfflineAws(provider_pb2_grpc.ResourceProviderServicer):
    """Previews creations of any resource of pulumi-aws, and refuses everything else."""

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on the protocol: secrets are passed as such."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """Name the version whose place this stand-in takes."""
        return plugin_pb2.PluginInfo(version=version())

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """No schema: programs use the pulumi_aws package, code generation is not served."""
        return provider_pb2.GetSchemaResponse(schema='{"name": "aws", "resources": {}}')

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Take any settings: they are not used."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Settings never make resources anew here."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Nothing to connect to."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Take the inputs as they are: the rules of AWS are not known here."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Preview a creation; refuse a real one."""
        if not request.preview:
            _refuse(context, f"{request.urn} cannot be created offline")
        return provider_pb2.CreateResponse(properties=known(request.properties))

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Refuse: a state says what AWS has, and nobody can compare with that here."""
        _refuse(context, f"{request.urn} cannot be compared with a state offline")

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Refuse: there is nothing to read."""
        _refuse(context, f"{request.urn} cannot be read offline")

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Refuse: there is nothing to change."""
        _refuse(context, f"{request.urn} cannot be changed offline")

    def Delete(
        self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Refuse: there is nothing to delete."""
        _refuse(context, f"{request.urn} cannot be deleted offline")

    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Refuse: a function asks an account."""
        _refuse(context, f"{request.tok} asks an AWS account")

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        """Refuse: components of the real plugin are not here."""
        _refuse(context, f"{request.type} is a component of the real plugin")

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Nothing is ever under way."""
        return empty_pb2.Empty()


def version() -> str:
    """The version of the Python package. The suffix says that this is not the real plugin."""
    return f"{metadata.version(PACKAGE)}+modelyard-offline"


def known(inputs: struct_pb2.Struct) -> struct_pb2.Struct:
    """Outputs that follow from inputs alone: plain values and lists of them.

    An object is left out, and thus unknown: AWS may add to it (a cluster's vpcConfig gets a
    security group), and no schema here tells which.
    """
    found = struct_pb2.Struct()
    for name, value in inputs.fields.items():
        if _plain(value):
            found.fields[name].CopyFrom(value)
    return found


def _plain(value: struct_pb2.Value) -> bool:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return all(_plain(item) for item in value.list_value.values)
    return kind in ("string_value", "number_value", "bool_value")


def _refuse(context: grpc.ServicerContext, text: str) -> NoReturn:
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{text}. {REMEDY}")
    raise AssertionError("abort raises")


def main() -> NoReturn:
    """Serve the engine whose address is the last argument of the command line."""
    serving.engine_address(sys.argv[1:])  # explains itself to a person who starts it by hand
    serving.serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(
            OfflineAws(), server
        ),
        at_exit=lambda: None,
    )
