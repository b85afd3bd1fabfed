"""What all routes share: middlewares, the default certificate, and the answer to unknown paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from infra.contract import Contract
from infra.platform import gateway_names as names
from infra.platform import pods, spaces

_API = "traefik.io/v1alpha1"
_TRANSPORT = spaces.DOORKEEPER
# Whoever was asked died of it or under it: two more times another is asked. 504 is no such sign:
# that request already took as long as one may.
_DIED = "ResponseCode() == 502 && Attempts() <= 2"
# By way of the gateway itself: it knows which doorkeepers are ready, and asks another when one has
# just died. A Service's address does neither, and needs the name service, too.
_INNER = f"http://127.0.0.1:{names.INNER_PORT}/auth"


@dataclass(frozen=True, kw_only=True)
class RoutesArgs:
    """The gateway's certificate and doorkeeper, and the definitions that its kinds need.

    A team's gateway has certificate and definitions already.
    """

    contract: Contract
    namespace: pulumi.Input[str]
    certificate: pulumi.Input[str] | None
    doorkeeper: pulumi.Input[str]
    definitions: Sequence[pulumi.Resource]


class Routes(pulumi.ComponentResource):
    """Shared parts of the gateway. A model's own route is infra/models' work."""

    def __init__(
        self, name: str, args: RoutesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Routes", name, None, opts)

        needs = [*args.definitions]

        def make(kind: str, called: str, spec: dict[str, Any]) -> CustomResource:
            return CustomResource(
                f"{name}-{called}",
                api_version=_API,
                kind=kind,
                metadata=pods.meta(args.contract, spaces.TRAEFIK, args.namespace, called),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*needs]),
            )

        needs.append(make("ServersTransport", _TRANSPORT, _transport()))
        doorkeeper = _balanced(args.doorkeeper)
        contract = args.contract
        own = "gateway" not in contract.existing
        for called, spec in _middlewares(doorkeeper).items():
            make("Middleware", called, spec)
        make("Middleware", names.AUTH, _asked(_INNER if own else _service(args.doorkeeper)))
        routes = _everything_else(doorkeeper, contract.host)
        make(
            "IngressRoute",
            "everything-else",
            {"entryPoints": [contract.gateway.entry_point], "tls": {}, "routes": routes},
        )
        if own:
            # Traefik looks for the store of exactly this name.
            store = {"defaultCertificate": {"secretName": args.certificate}}
            make("TLSStore", "default", store)
            for called, spec in _again().items():
                make("Middleware", called, spec)
            inner = [_to_the_doorkeeper(doorkeeper)]
            route = {"entryPoints": [names.INNER_ENTRY_POINT], "routes": inner}
            make("IngressRoute", "doorkeeper", route)
        self.register_outputs({})


def _balanced(doorkeeper: pulumi.Input[str]) -> dict[str, Any]:
    """How a route names the doorkeeper."""
    return {"name": doorkeeper, "port": names.DOORKEEPER_PORT, "serversTransport": _TRANSPORT}


def _transport() -> dict[str, Any]:
    """How the gateway talks to a doorkeeper."""
    return {
        "forwardingTimeouts": {"dialTimeout": names.CONNECT_WITHIN},
        # As many as Traefik keeps where no transport is named; where one is, it keeps two.
        "maxIdleConnsPerHost": 200,
    }


def _service(doorkeeper: pulumi.Input[str]) -> pulumi.Output[str]:
    """A team's gateway has no entry of ours: it asks at the Service's address."""
    return pulumi.Output.format(
        "http://{0}.{1}.svc:{2}/auth", doorkeeper, names.NAMESPACE, names.DOORKEEPER_PORT
    )


def _to_the_doorkeeper(doorkeeper: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "Rule",
        "match": "Path(`/auth`)",
        "middlewares": [{"name": names.AUTH_AGAIN}, {"name": names.AUTH_RETRY}],
        "services": [doorkeeper],
    }


def _everything_else(doorkeeper: dict[str, Any], host: str | None) -> list[dict[str, Any]]:
    """Paths that no model has, and methods that HTTP has not: both get a body in JSON."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    return [
        {
            "kind": "Rule",
            "match": names.at(host, "PathPrefix(`/`)"),
            "priority": names.LAST,
            "middlewares": [{"name": names.NOT_FOUND}],
            "services": [doorkeeper],
        },
        {
            # Servers answer these by themselves, in plain text and before any code of ours runs.
            "kind": "Rule",
            "match": names.at(host, " && ".join(f"!Method(`{method}`)" for method in known)),
            "priority": names.FIRST,
            "middlewares": [{"name": names.ANY_ERROR}, {"name": names.NOT_FOUND}],
            "services": [doorkeeper],
        },
    ]


def _middlewares(doorkeeper: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        names.ERRORS: {
            "errors": {
                # Not 401: doorkeeper's answer has a header that this middleware would drop.
                # Not 404, 405 and 422: these are the model's, with a body of its own.
                "status": ["413", "429", "500-504"],
                "query": "/errors/{status}",
                "service": doorkeeper,
            }
        },
        names.ANY_ERROR: {
            "errors": {
                "status": ["400-599"],
                "query": "/errors/{status}",
                "service": doorkeeper,
            }
        },
        names.BODY_LIMIT: {
            "buffering": {
                "maxRequestBodyBytes": names.BODY_LIMIT_BYTES,
                "memRequestBodyBytes": names.BODY_LIMIT_BYTES,
                # A prediction changes nothing, so that it may be asked for again.
                "retryExpression": _DIED,
            }
        },
        # The path is replaced, so that doorkeeper's own paths cannot be asked from outside.
        names.NOT_FOUND: {"replacePath": {"path": "/errors/404"}},
    }


def _asked(address: pulumi.Input[str]) -> dict[str, Any]:
    return {"forwardAuth": {"address": address, "authRequestHeaders": ["Authorization"]}}


def _again() -> dict[str, dict[str, Any]]:
    """For a doorkeeper that cannot be connected to, and for one that died under the question."""
    return {
        names.AUTH_RETRY: {"retry": {"attempts": 3, "initialInterval": "50ms"}},
        names.AUTH_AGAIN: {"buffering": {"retryExpression": _DIED}},
    }
