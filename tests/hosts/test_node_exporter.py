"""The role node_exporter with Debian's real package, on two machines: default and alternative.

The machines are containers: disks and clock that they tell of are this machine's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.hosts import onprem, outcomes
from tests.hosts.machines import fails, named, thrice

pytestmark = pytest.mark.scenarios
UNIT = "prometheus-node-exporter.service"
ADDRESSES = {"default": "172.29.72.11", "alternative": "172.29.72.12"}
FOLDER = {"default": "/var/lib/prometheus/node-exporter", "alternative": "/srv/series"}
INPUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "alternative": {
        "node_exporter_folder": FOLDER["alternative"],
        "node_exporter_collectors": ["tcpstat"],
        "node_exporter_collectors_off": ["arp"],
    },
}


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Two machines after a rehearsal and two runs, and what those named.

    ``failed`` are those whose check failed when nothing had run yet.
    """

    folder: Path
    named: list[set[str]]
    failed: set[str]

    def host(self, name: str) -> Host:
        return onprem.host(name)

    def play(self, *arguments: str) -> tuple[int, str]:
        """Run the role on both; its exit code and all that it says."""
        done = onprem.play(self.folder, self.folder / "exporter.yml", *arguments)
        return done.returncode, done.stdout + done.stderr

    def series(self, name: str) -> str:
        """What Prometheus would read, asked from this machine."""
        ask = f"import urllib.request as u; print(u.urlopen('{_url(name)}').read().decode())"
        return outcomes.said(self.host(name), f'python3 -c "{ask}"')


def _url(name: str) -> str:
    return f"http://{ADDRESSES[name]}:9100/metrics"


def check(machines: Machines, name: str) -> None:
    """What the role promises."""
    host = machines.host(name)
    series = machines.series(name)
    for one in ("node_filesystem_avail_bytes{", "node_timex_offset_seconds ", "node_load1 "):
        assert f"\n{one}" in series
    assert "\nnode_textfile_scrape_error 0\n" in series
    assert not [line for line in series.splitlines() if 'device="veth' in line]
    assert host.service(UNIT).is_running
    assert host.service(UNIT).is_enabled
    listening = outcomes.said(host, "ss --listening --tcp --numeric --no-header sport = :9100")
    assert [line.split()[3] for line in listening.splitlines()] == [f"{ADDRESSES[name]}:9100"]
    pid = outcomes.said(host, f"systemctl show --property MainPID --value {UNIT}").strip()
    status = dict(
        line.split(":\t") for line in outcomes.said(host, f"cat /proc/{pid}/status").splitlines()
        if line.startswith(("Uid", "CapEff", "NoNewPrivs"))
    )  # fmt: skip
    assert "0" not in status["Uid"].split("\t")
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    written = host.run(f"nsenter --target {pid} --mount touch /etc/written /var/lib/written")
    assert "Read-only file system" in written.stderr


def _playbook(folder: Path) -> None:
    role = {"hosts": "containers", "gather_facts": False, "become": True}
    play = role | {"name": "Measure", "roles": [{"role": "node_exporter"}]}
    (folder / "exporter.yml").write_text(yaml.safe_dump([play]))


def _inventory() -> dict[str, Any]:
    """Containers that are made as those of an environment, and are no nodes."""
    shared = {
        "ansible_connection": "docker",
        "node_container_subnet": "172.29.72.0/24",
        "node_container_tools": "",
        "node_container_ports": [],
    }
    found = {
        name: shared
        | {
            "ansible_host": onprem.container(name),
            "node_address": address,
            "node_exporter_address": address,
            "node_container_name": onprem.container(name),
        }
        | INPUTS[name]
        for name, address in ADDRESSES.items()
    }
    return {"all": {"children": {"containers": {"hosts": found}}}}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("exporter")
    _playbook(folder)
    with onprem.machines(folder, _inventory(), {"binaries": {}}):
        found = Machines(folder=folder, named=[], failed=set())
        for name in ADDRESSES:
            outcomes.said(found.host(name), "apt-get update")
            if fails(check, found, name):
                found.failed.add(name)
        found.named.extend(map(named, thrice(found.play)))
        yield found


def test_the_check_failed_before_the_role_ran(machines: Machines) -> None:
    assert machines.failed == {*ADDRESSES}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_machine_tells_of_itself_on_its_own_address_and_writes_nothing(
    machines: Machines, name: str
) -> None:
    check(machines, name)


def test_a_rehearsal_names_what_a_run_changes_and_a_second_run_changes_nothing(
    machines: Machines,
) -> None:
    rehearsed, first, second = machines.named

    assert {one.split(":")[0] for one in first} == {*ADDRESSES}
    assert rehearsed == first
    assert second == set()


def test_settings_that_it_has_not_read_are_read_by_the_next_run(machines: Machines) -> None:
    hosts = {name: machines.host(name) for name in ADDRESSES}
    before = {name: outcomes.began(host, UNIT) for name, host in hosts.items()}
    outcomes.write_anew(hosts["alternative"], f"/etc/systemd/system/{UNIT}.d/modelyard.conf")

    code, said = machines.play()

    assert (code, named(said)) == (0, set()), said
    after = {name: outcomes.began(host, UNIT) for name, host in hosts.items()}
    assert after["default"] == before["default"]
    assert after["alternative"] != before["alternative"]


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_text_file_becomes_a_series(machines: Machines, name: str) -> None:
    text = f"{FOLDER[name]}/modelyard_gpu.prom"
    outcomes.said(machines.host(name), f"echo 'modelyard_gpu_faults 0' > {text}")

    assert "\nmodelyard_gpu_faults 0\n" in machines.series(name)


def test_collectors_are_the_inventorys_to_choose(machines: Machines) -> None:
    collectors = {
        name: {line for line in machines.series(name).splitlines() if "collector_success" in line}
        for name in ADDRESSES
    }
    success = 'node_scrape_collector_success{collector="%s"} 1'

    assert success % "arp" in collectors["default"]
    assert success % "tcpstat" not in collectors["default"]
    assert not any('"arp"' in line for line in collectors["alternative"])
    assert success % "tcpstat" in collectors["alternative"]


def test_it_comes_back_by_itself(machines: Machines) -> None:
    host = machines.host("default")
    outcomes.said(host, f"systemctl kill --signal KILL {UNIT}")
    outcomes.said(host, "sleep 4")

    check(machines, "default")


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::", "localhost"])
def test_an_address_that_anyone_or_no_one_else_reaches_is_refused(
    machines: Machines, address: str
) -> None:
    code, said = machines.play("--extra-vars", f"node_exporter_address={address}")

    assert code == 2
    assert f"node_exporter_address is '{address}'" in said.replace("''", "'")
    assert "changed=1" not in said
