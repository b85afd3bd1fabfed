"""A team's own gateway: what a person may write of it, what it must be, and what ours become."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import contract, team_gateway
from infra.contract import Gateway
from infra.models import routes
from infra.platform import gateway_names, policies, spaces
from infra.refusal import Refusal
from infra.team_gateway import GatewayPod
from tests.infra.test_existing import told, written
from tests.infra.test_parity import BY_HAND

THEIRS: dict[str, Any] = yaml.safe_load(BY_HAND)["gateway"]
RUNS = (
    "--entryPoints.https.address=:8443",
    "--providers.kubernetescrd",
    "--providers.kubernetescrd.allowCrossNamespace=true",
    "--providers.kubernetescrd.allowEmptyServices",
)
THERE = {f"CustomResourceDefinition {kind}.traefik.io" for kind in team_gateway.KINDS} | {
    "Namespace team-gateway"
}


def pod(*arguments: str) -> GatewayPod:
    return GatewayPod(name="traefik-1", arguments=arguments)


def broken(folder: Path, *pods: GatewayPod, owners: set[str] = THERE) -> list[str]:
    return [
        f"{key} is {value!r}: {rule}. {remedy}"
        for key, value, rule, remedy in team_gateway.broken(told(folder), pods, owners)
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "nginx"}, r"gateway\.kind is 'nginx': routes are Traefik's.*then installs"),
        ({"namespace": "gateway"}, r"gateway\.namespace is 'gateway'.*for its doorkeeper"),
        ({"labels": {}}, r"gateway\.labels is {}.*Write the labels that its pods have"),
        ({"cross_namespace": False}, r"cross_namespace is False.*allowcrossnamespace=true"),
        ({"ca": "ca.crt"}, r"gateway\.ca is 'ca\.crt'.*begins with / or ~"),
        ({"url": "http://models"}, r"gateway\.url is 'http://models': it is asked over TLS"),
        ({"gossip": 1}, r"gateway\.gossip is 1.*known keys there: url, port"),
    ],
)
def test_what_cannot_be_ours_is_refused(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(Refusal, match=expected) as refused:
        told(tmp_path, gateway=THEIRS | changes)

    assert refused.value.remedy.endswith(".")


def test_who_describes_a_gateway_and_does_not_name_it_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"gateway\.entry_point is 'https'.*or add gateway to exist"):
        told(tmp_path, existing=["registry", "metrics"])


def test_one_that_runs_as_promised_is_taken(tmp_path: Path) -> None:
    assert broken(tmp_path, pod(*RUNS), pod("/traefik", *RUNS)) == []


def test_one_that_is_configured_elsewhere_is_believed(tmp_path: Path) -> None:
    assert broken(tmp_path, pod("--configfile=/etc/traefik/traefik.yml")) == []


def test_settings_may_stand_behind_their_names(tmp_path: Path) -> None:
    spoken = [part for one in RUNS for part in one.split("=")]

    assert broken(tmp_path, pod(*spoken)) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (RUNS[1:], "entry_point is 'https': traefik-1 has no such entry point; it has: none"),
        ((*RUNS[:2], RUNS[3]), "runs without --providers.kubernetescrd.allowcrossnamespace=true"),
        (RUNS[:3], "runs without --providers.kubernetescrd.allowemptyservices=true"),
        ((*RUNS, "--providers.kubernetescrd.ingressClass=x"), "only routes of ingressclass 'x'"),
        ((*RUNS, "--providers.kubernetescrd.labelSelector=a=b"), "labelselector 'a=b'"),
        ((*RUNS, "--providers.kubernetescrd.namespaces=team,models"), "no routes in gateway"),
    ],
)
def test_a_setting_that_routes_need_is_named(
    tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    (said,) = broken(tmp_path, pod(*arguments))

    assert expected in said


def test_one_that_watches_our_namespaces_beside_its_own_is_taken(tmp_path: Path) -> None:
    watched = "--providers.kubernetescrd.namespaces=team,models,gateway"

    assert broken(tmp_path, pod(*RUNS, watched)) == []


@pytest.mark.parametrize(
    ("absent", "expected"),
    [
        ("CustomResourceDefinition middlewares.traefik.io", "no definition of middlewares in"),
        ("Namespace team-gateway", "gateway.namespace is 'team-gateway'"),
    ],
)
def test_what_the_cluster_has_not_is_named(tmp_path: Path, absent: str, expected: str) -> None:
    (said,) = broken(tmp_path, pod(*RUNS), owners=THERE - {absent})

    assert expected in said


def test_a_namespace_without_such_a_pod_is_named(tmp_path: Path) -> None:
    (said,) = broken(tmp_path)

    assert "gateway.labels is {'app': 'traefik'}: no pod of team-gateway that runs has" in said


def test_a_platform_with_a_gateway_of_its_own_asks_for_nothing(tmp_path: Path) -> None:
    own = told(tmp_path, existing=["registry"], gateway={"url": "https://a", "port": 443})

    assert list(team_gateway.broken(own, (), ())) == []


def test_by_default_a_contract_describes_the_platforms_own() -> None:
    own = Gateway(url="https://a", port=443)

    assert (own.namespace, own.entry_point) == (spaces.GATEWAY, gateway_names.ENTRY_POINT)
    assert own.labels == {"app.kubernetes.io/name": spaces.TRAEFIK}


def test_routes_keep_to_the_host_name_and_the_entry_point_of_a_teams(tmp_path: Path) -> None:
    facts = contract.promised(written(tmp_path))

    spec: Any = routes.paths("digits", facts.gateway.entry_point, facts.host)

    assert spec["entryPoints"] == ["https"]
    for route in spec["routes"]:
        assert route["match"].startswith("Host(`models.team.example.com`) && (")
        assert route["match"].endswith(")")


def test_the_teams_pods_and_no_others_are_let_in(tmp_path: Path) -> None:
    (peer,) = policies.gateway(contract.promised(written(tmp_path)))

    assert str(peer.namespace_selector.match_labels) == str(  # type: ignore[union-attr]
        {"kubernetes.io/metadata.name": "team-gateway"}
    )
    assert peer.pod_selector.match_labels == {"app": "traefik"}  # type: ignore[union-attr]


def test_a_client_trusts_who_signed_the_teams_certificate(tmp_path: Path) -> None:
    by_machine = contract.promised(written(tmp_path))
    by_file = contract.promised(written(tmp_path, gateway=THEIRS | {"ca": "~/team.crt"}))
    own = contract.promised(
        written(tmp_path, existing=["registry"], gateway={"url": "https://a", "port": 443})
    )

    assert by_machine.authority is None
    assert by_file.authority == Path.home() / "team.crt"
    assert own.authority == own.credentials / "ca.crt"


def test_a_namespace_in_which_nothing_of_ours_would_stand_is_left_to_the_team(
    tmp_path: Path,
) -> None:
    assert spaces.left_out(told(tmp_path)) == {"registry", "storage", "monitoring", "accelerators"}
    less = told(
        tmp_path, existing=["registry", "monitoring"], gateway={"url": "https://a", "port": 1}
    )
    assert "monitoring" not in spaces.left_out(less)
