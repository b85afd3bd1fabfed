"""The servicer: Pulumi's ResourceProvider protocol, mapped to one cluster."""

# ruff: noqa: ARG002, N802 - names and signatures are the protocol's

import sys
import threading
from typing import NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

from infra.plugins import serving
from infra.plugins.kubernetes import (
    checks,
    deletion,
    diff,
    engine,
    operations,
    paths,
    values,
    waiting,
)
from infra.plugins.kubernetes.answers import answered
from infra.plugins.kubernetes.cluster import Cluster, Settings
from infra.plugins.kubernetes.errors import Unreachable
from infra.plugins.kubernetes.objects import NotServed
from infra.plugins.kubernetes.operations import Session, Target

# The plugin whose place is taken; the suffix tells in the state who wrote it.
VERSION = "4.34.2+modelyard"
_ON = (True, "true")


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves typed Kubernetes resources and CustomResource; refuses the rest by name."""

    def __init__(self, address: str) -> None:
        self._log = engine.Log(address)
        self._stop = threading.Event()
        self._session = Session(Cluster(Settings()), self._log, self._stop)

    @answered
    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on the protocol: secrets are passed as such."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    @answered
    def GetPluginInfo(
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """Name the version whose place this stand-in takes."""
        return plugin_pb2.PluginInfo(version=VERSION)

    @answered
    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """No schema: programs use the pulumi_kubernetes package, code generation is not served."""
        return provider_pb2.GetSchemaResponse(schema='{"name": "kubernetes", "resources": {}}')

    @answered
    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Refuse settings that the stand-in would ignore."""
        failures = checks.settings(values.read(request.news))
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    @answered
    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """A changed setting never replaces the objects, unless clusterIdentifier says so."""
        old, new = values.read(request.old_inputs), values.read(request.news)
        changed = sorted({path[0] for path in paths.differences(old, new)} - {"version"})
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME
            if changed
            else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=[str(name) for name in changed],
            replaces=["clusterIdentifier"] if "clusterIdentifier" in changed else [],
        )

    @answered
    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take over the settings; the cluster is not asked before it is needed."""
        given = values.plain(values.read(request.args))
        cluster = Cluster(
            Settings(
                kubeconfig=given.get("kubeconfig"),
                context=given.get("context"),
                cluster=given.get("cluster"),
                namespace=given.get("namespace"),
            )
        )
        self._session = Session(
            cluster,
            self._log,
            self._stop,
            force=given.get("enablePatchForce") in _ON,
            adopt=given.get("upsertExistingObjects") in _ON,
            delete_unreachable=given.get("deleteUnreachable") in _ON,
        )
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    @answered
    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Complete the inputs: kind, name, namespace, marks of secrets."""
        olds = values.read(request.olds)
        if olds:
            self._session.known.add(request.urn)
        checked = checks.check(self._session.cluster, request, values.read(request.news), olds)
        return provider_pb2.CheckResponse(
            inputs=values.write(checked.inputs), failures=_failures(checked.failures)
        )

    @answered
    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Compare state, program and cluster."""
        found = self._session.difference(
            Target(request.urn, request.type, request.id),
            old_inputs=values.read(request.old_inputs),
            old_outputs=values.read(request.olds),
            new_inputs=values.read(request.news),
            ignored=list(request.ignoreChanges),
        )
        return _difference(found)

    @answered
    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Create an object and wait until it is ready; in a preview, rehearse it."""
        target = Target(request.urn, request.type, "")
        inputs = values.read(request.properties)
        if request.preview:
            outputs = self._session.preview_create(target, inputs)
            return provider_pb2.CreateResponse(properties=values.write(outputs))
        identifier, outputs = self._session.create(target, inputs, request.timeout)
        return provider_pb2.CreateResponse(id=identifier, properties=values.write(outputs))

    @answered
    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Read an object for `refresh` or import; an empty answer means that it is gone."""
        found = self._session.read(
            Target(request.urn, request.type, request.id), values.read(request.inputs)
        )
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.identifier,
            properties=values.write(found.outputs),
            inputs=values.write(found.inputs),
        )

    @answered
    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Apply new inputs and wait until the object is ready; in a preview, rehearse it."""
        outputs = self._session.update(
            Target(request.urn, request.type, request.id),
            values.read(request.news),
            ignored=list(request.ignoreChanges),
            seconds=request.timeout,
            preview=request.preview,
        )
        return provider_pb2.UpdateResponse(properties=values.write(outputs))

    @answered
    def Delete(
        self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Delete an object and wait until it is gone."""
        session = self._session
        state = values.read(request.properties)
        reference = operations.existing(Target(request.urn, request.type, request.id), state)
        seconds = waiting.timeout_seconds(request.timeout, state)
        try:
            deletion.delete(
                session.cluster,
                reference,
                state,
                seconds,
                self._stop,
                lambda text: self._log.status(request.urn, text),
            )
        except Unreachable as error:
            if not session.delete_unreachable:
                raise
            self._log.warn_once(f"{error} deleteUnreachable is set: its objects are forgotten.")
        return empty_pb2.Empty()

    @answered
    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Refuse: every function of the real plugin reads YAML, Helm charts or Kustomizations."""
        raise NotServed(
            f"{request.tok} is a function of the real Kubernetes plugin; this stand-in serves "
            "objects only. Read files of objects in Python and pass them to typed resources."
        )

    @answered
    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        """Refuse: components of the real plugin (Chart, ConfigFile, Directory)."""
        raise NotServed(
            f"{request.type} is a component of the real Kubernetes plugin; this stand-in serves "
            "objects only. Use typed resources (pulumi_kubernetes classes) and CustomResource."
        )

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Stop waiting; what is applied already is reported with its state."""
        self._stop.set()
        return empty_pb2.Empty()


def _failures(found: list[tuple[str, str]]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in found]


_KINDS = {
    diff.Change.ADD: (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    diff.Change.DELETE: (
        provider_pb2.PropertyDiff.DELETE,
        provider_pb2.PropertyDiff.DELETE_REPLACE,
    ),
    diff.Change.UPDATE: (
        provider_pb2.PropertyDiff.UPDATE,
        provider_pb2.PropertyDiff.UPDATE_REPLACE,
    ),
}


def _difference(found: diff.Difference) -> provider_pb2.DiffResponse:
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME
        if found.properties
        else provider_pb2.DiffResponse.DIFF_NONE,
        deleteBeforeReplace=found.delete_first,
        replaces=found.replaces,
        diffs=sorted({str(paths.parse(name)[0]) for name in found.properties}),
        hasDetailedDiff=True,
    )
    for name, entry in found.properties.items():
        response.detailedDiff[name].kind = _KINDS[entry.change][entry.replaces]
        response.detailedDiff[name].inputDiff = entry.in_inputs
    return response


def main() -> NoReturn:
    """Serve the engine whose address is the last argument of the command line."""
    provider = KubernetesProvider(serving.engine_address(sys.argv[1:]))
    serving.serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server),
        at_exit=lambda: None,
    )
