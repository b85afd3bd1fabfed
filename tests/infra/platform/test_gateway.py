"""The gateway's shared parts: what a route refers to, and what unknown requests get."""

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from infra.platform import gateway_names as names
from infra.platform import pods
from services.platform.doorkeeper.__main__ import GRACE_SECONDS

if TYPE_CHECKING:
    from tests.infra.platform.conftest import House


DOORKEEPER = {
    "name": "doorkeeper",
    "port": names.DOORKEEPER_PORT,
    "serversTransport": "doorkeeper",
}


def arguments(house: "House", deployment: str) -> list[str]:
    pod = house.engine.one("Deployment", deployment)["spec"]["template"]["spec"]
    found: list[str] = pod["containers"][0]["args"]
    return found


def middleware(house: "House", name: str) -> dict[str, Any]:
    spec: dict[str, Any] = house.engine.one("Middleware", name)["spec"]
    return spec


def test_every_shared_middleware_stands_under_its_constant(house: "House") -> None:
    made = {one.inputs["metadata"]["name"] for one in house.engine.created("Middleware")}

    assert made == {
        names.ERRORS,
        names.ANY_ERROR,
        names.AUTH,
        names.AUTH_RETRY,
        names.AUTH_AGAIN,
        names.BODY_LIMIT,
        names.NOT_FOUND,
    }
    for one in house.engine.created("Middleware"):
        assert one.inputs["metadata"]["namespace"] == names.NAMESPACE


def test_unauthorized_answers_keep_the_doorkeepers_own_header(house: "House") -> None:
    status = middleware(house, names.ERRORS)["errors"]["status"]

    assert "401" not in status
    assert set(status) == {"413", "429", "500-504"}


def test_bodies_over_one_mebibyte_are_refused(house: "House") -> None:
    assert middleware(house, names.BODY_LIMIT)["buffering"]["maxRequestBodyBytes"] == 1048576


def test_a_request_whose_pod_died_is_asked_again_and_one_that_took_too_long_is_not(
    house: "House",
) -> None:
    buffering = middleware(house, names.BODY_LIMIT)["buffering"]

    assert buffering["retryExpression"] == "ResponseCode() == 502 && Attempts() <= 2"


def test_the_doorkeeper_is_asked_with_the_authorization_header_only(house: "House") -> None:
    forward = middleware(house, names.AUTH)["forwardAuth"]

    assert forward == {
        "address": "http://127.0.0.1:8081/auth",
        "authRequestHeaders": ["Authorization"],
    }


def test_the_gateway_asks_another_doorkeeper_by_an_entry_that_only_its_own_pod_reaches(
    house: "House",
) -> None:
    spec = house.engine.one("IngressRoute", "doorkeeper")["spec"]
    (route,) = spec["routes"]

    assert spec["entryPoints"] == [names.INNER_ENTRY_POINT]
    assert "--entrypoints.inner.address=127.0.0.1:8081" in arguments(house, "traefik")
    assert route["middlewares"] == [{"name": names.AUTH_AGAIN}, {"name": names.AUTH_RETRY}]
    assert route["services"] == [DOORKEEPER]
    assert middleware(house, names.AUTH_RETRY)["retry"]["attempts"] == 3
    assert "502" in middleware(house, names.AUTH_AGAIN)["buffering"]["retryExpression"]


def test_the_gateway_soon_gives_up_connecting_to_a_doorkeeper_that_is_gone(house: "House") -> None:
    transport = house.engine.one("ServersTransport", "doorkeeper")["spec"]

    assert transport["forwardingTimeouts"] == {"dialTimeout": "2s"}
    for name in (names.ERRORS, names.ANY_ERROR):
        assert middleware(house, name)["errors"]["service"] == DOORKEEPER


def test_a_doorkeeper_answers_on_until_the_gateway_knows_that_it_goes(house: "House") -> None:
    pod = house.engine.one("Deployment", "doorkeeper")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    slept = container["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert slept == pods.DRAIN_SECONDS
    # What is under way then has its own time to end.
    assert pod["terminationGracePeriodSeconds"] >= slept + GRACE_SECONDS


def test_unknown_paths_and_methods_are_answered_by_the_doorkeeper_under_a_fixed_path(
    house: "House",
) -> None:
    spec = house.engine.one("IngressRoute", "everything-else")["spec"]
    path, method = spec["routes"]

    assert path["match"] == "PathPrefix(`/`)"
    # The longest rule of a route: its priority, where the route names none.
    assert 1000 < path["priority"] < method["priority"]
    for route in (path, method):
        assert {"name": names.NOT_FOUND} in route["middlewares"]
        assert route["services"] == [DOORKEEPER]
    assert middleware(house, names.NOT_FOUND) == {"replacePath": {"path": "/errors/404"}}


def test_the_default_certificate_is_the_environments(house: "House") -> None:
    store = house.engine.one("TLSStore", "default")["spec"]
    secret = house.engine.one("Secret", store["defaultCertificate"]["secretName"])

    stored = base64.b64decode(secret["data"]["value"]["tls.crt"])
    assert stored == (house.contract.credentials / "gateway.crt").read_bytes()
    assert secret["type"] == "kubernetes.io/tls"


def test_the_doorkeeper_knows_the_token_by_its_hash(house: "House") -> None:
    data = house.engine.one("Secret", "doorkeeper-tokens")["data"]["value"]
    token = (house.contract.credentials / "token").read_bytes()

    assert base64.b64decode(data["tokens"]).decode() == hashlib.sha256(token).hexdigest() + "\n"


def test_no_header_reaches_a_log_and_nothing_calls_home(house: "House") -> None:
    for deployment in ("traefik",):
        given = arguments(house, deployment)
        assert "--accesslog.fields.headers.defaultmode=drop" in given
        assert "--global.sendanonymoususage=false" in given
        assert "--global.checknewversion=false" in given


def test_the_rollouts_controller_writes_to_the_api_group_that_the_gateway_reads(
    house: "House",
) -> None:
    given = arguments(house, "argo-rollouts")

    assert "--traefik-api-group=traefik.io" in given
    assert "--traefik-api-version=traefik.io/v1alpha1" in given
    assert {"--namespaced", "--namespace=models"} <= set(given)


def test_the_definitions_are_registered_as_their_files_have_them(house: "House") -> None:
    definitions = {
        one.inputs["metadata"]["name"]: one.inputs
        for one in house.engine.created("CustomResourceDefinition")
    }

    assert set(definitions) == {
        "ingressroutes.traefik.io",
        "middlewares.traefik.io",
        "rollouts.argoproj.io",
    }
    spec = definitions["rollouts.argoproj.io"]["spec"]
    schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"] is True
