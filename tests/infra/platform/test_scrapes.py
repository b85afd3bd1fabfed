"""Prometheus' configuration and rules, checked by Prometheus' own tool."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci.report import silent
from ci.toolchain import provide
from infra import places
from infra.contract import Contract
from infra.platform import rules, scrapes

if TYPE_CHECKING:
    from tests.infra.platform.conftest import House

RULES_TEST = Path(__file__).parent / "rules-test.yml"


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The pinned one, out of the store; the first run on a machine builds it."""
    return provide.family("prometheus", silent).file("bin/promtool")


def check(promtool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)


def written(folder: Path, facts: Contract) -> Path:
    """The configuration as it is mounted, with its paths inside ``folder``."""
    for name, text in (
        ("prometheus.yml", scrapes.configuration(facts)),
        ("rules.yml", rules.rules(facts)),
    ):
        text = text.replace(scrapes.CONFIG, str(folder))
        text = text.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(folder))
        (folder / name).write_text(text)
    for name in ("ca.crt", "token"):
        (folder / name).touch()
    return folder / "prometheus.yml"


@pytest.mark.parametrize("certified", [True, False])
def test_promtool_takes_the_configuration(
    promtool: Path, tmp_path: Path, facts: Contract, certified: bool
) -> None:
    facts = facts.model_copy(update={"kubelets_certified": certified, "node_exporter": certified})
    answer = check(promtool, "check", "config", str(written(tmp_path, facts)))

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_promtool_refuses_a_broken_configuration(
    promtool: Path, tmp_path: Path, facts: Contract
) -> None:
    path = written(tmp_path, facts)
    path.write_text(path.read_text().replace("scrape_interval", "scrape_intervall", 1))

    assert check(promtool, "check", "config", str(path)).returncode != 0


def test_alerts_fire_when_they_should_and_only_then(
    promtool: Path, tmp_path: Path, facts: Contract
) -> None:
    written(tmp_path, facts.model_copy(update={"node_exporter": True}))
    shutil.copy(RULES_TEST, tmp_path / "rules-test.yml")

    answer = check(promtool, "test", "rules", str(tmp_path / "rules-test.yml"))

    assert answer.returncode == 0, answer.stdout + answer.stderr


def jobs(facts: Contract) -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(scrapes.configuration(facts))
    return {job["job_name"]: job for job in document["scrape_configs"]}


def test_the_jobs_are_the_platforms_parts_the_cluster_and_the_models(
    house: "House", facts: Contract
) -> None:
    cluster = {"kube-apiserver", "kubelet", "cadvisor", "coredns"}
    parts = {
        one.inputs["metadata"]["name"]
        for one in house.engine.created("Deployment")
        # It serves no metrics.
        if one.inputs["metadata"]["name"] != "local-path-provisioner"
    }

    assert set(jobs(facts)) == parts | cluster | {"models"} == set(scrapes.JOBS)


def test_every_permanent_job_has_an_alert_for_having_no_target(facts: Contract) -> None:
    text = rules.rules(facts)

    for job in set(jobs(facts)) - {"models"}:
        assert f'absent(up{{job="{job}"}})' in text, job


def test_nothing_waits_for_targets_of_what_the_team_has(facts: Contract) -> None:
    theirs = facts.model_copy(update={"existing": ("registry", "gateway", "metrics")})

    left = set(jobs(facts)) - set(jobs(theirs))

    assert left == {"registry", "traefik", "metrics-server"}
    for job in left:
        assert f'absent(up{{job="{job}"}})' not in rules.rules(theirs)


def test_hosts_are_asked_and_judged_only_where_node_exporter_is(facts: Contract) -> None:
    there = facts.model_copy(update={"node_exporter": True})

    assert set(jobs(there)) - set(jobs(facts)) == {scrapes.HOSTS}
    assert "HostDiskNearlyFull" in rules.rules(there)
    assert f'absent(up{{job="{scrapes.HOSTS}"}})' in rules.rules(there)
    assert "Host" not in rules.rules(facts)


def test_node_exporter_is_asked_at_the_port_that_its_role_listens_on(facts: Contract) -> None:
    role = places.REPOSITORY / "ansible" / "roles" / "node_exporter" / "vars" / "main.yml"
    port = yaml.safe_load(role.read_text())["__node_exporter_port"]
    there = facts.model_copy(update={"node_exporter": True})

    address = jobs(there)[scrapes.HOSTS]["relabel_configs"][0]
    assert address["replacement"] == f"$1:{port}"


def test_every_alert_says_what_happened_and_what_to_do(facts: Contract) -> None:
    everywhere = facts.model_copy(update={"node_exporter": True})
    groups = yaml.safe_load(rules.rules(everywhere))["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]

    assert alerts
    for alert in alerts:
        assert alert["annotations"]["summary"].endswith("."), alert["alert"]
        assert alert["annotations"]["remedy"], alert["alert"]
        assert alert["labels"]["severity"] in {"warning", "critical"}, alert["alert"]


def test_certificates_of_kubelets_are_checked_where_the_cluster_signed_them(
    facts: Contract,
) -> None:
    certified = facts.model_copy(update={"kubelets_certified": True})

    for job in ("kubelet", "cadvisor"):
        assert jobs(certified)[job]["tls_config"] == {"ca_file": scrapes.CLUSTER_CA}
        assert jobs(facts)[job]["tls_config"] == {"insecure_skip_verify": True}


def test_nothing_else_skips_the_check_of_a_certificate(facts: Contract) -> None:
    certified = facts.model_copy(update={"kubelets_certified": True})

    assert "insecure_skip_verify" not in scrapes.configuration(certified)


def test_prometheus_may_look_where_its_jobs_look(house: "House", facts: Contract) -> None:
    looked = {
        name
        for job in jobs(facts).values()
        for discovery in job.get("kubernetes_sd_configs", [])
        for name in discovery.get("namespaces", {}).get("names", [])
    }
    allowed = {
        one.inputs["metadata"]["namespace"]
        for one in house.engine.created("Role")
        if one.inputs["metadata"]["name"] == "prometheus"
    }

    assert looked == allowed


def test_retention_and_external_label_come_from_the_environment(house: "House") -> None:
    deployment = house.engine.one("Deployment", "prometheus")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    days = house.environment.prometheus_retention_days

    assert f"--storage.tsdb.retention.time={days}d" in container["args"]
    text = house.engine.one("ConfigMap", "prometheus")["data"]["prometheus.yml"]
    assert yaml.safe_load(text)["global"]["external_labels"] == {"environment": "local"}
