"""Hosts without Kubernetes that run one Bento, and the mirror that they pull it from.

edge-1 is the default scenario, edge-2 the alternative. The hosts are containers: cgroups are those
of the machine, and the firewall is written, not applied.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from testinfra.host import Host

from ci.pipeline import build
from ci.report import silent
from infra import places
from tests.hosts import edge_checks, edge_ground, machines, onprem, outcomes
from tests.hosts.edge_checks import UNIT, URLS
from tests.hosts.edge_ground import ADDRESSES, Ground
from tests.hosts.machines import fails, named

pytestmark = pytest.mark.scenarios
NOBODY = "172.29.70.99"
"""An address of the network that no machine has."""


@dataclass(frozen=True, kw_only=True)
class House:
    """The ground after edge.yml, and digests of images in the mirror.

    What rehearsals named beforehand, and what the first and the second runs changed.
    """

    ground: Ground
    rehearsed: set[str]
    first: set[str]
    second: set[str]
    digests: dict[str, str]
    failed: set[tuple[str, str]]
    """Roles and machines whose check failed when nothing had run yet."""

    def host(self, name: str) -> Host:
        return self.ground.host(name)


def images(ground: Ground) -> dict[str, str]:
    """Put two versions that work and two images that do not into the mirror; digests by name."""
    first = build.build("digits", version="1.0.0", report=silent)
    second = build.build("digits", version="1.0.1", report=silent)
    digests = {"first": first.digest, "second": second.digest}
    ground.put(first.layout, "1.0.0")
    ground.put(second.layout, "1.0.1")
    for name, command in {
        "broken": ["python3", "-c", "raise SystemExit(7)"],
        "silent": ["python3", "-c", "import time; time.sleep(600)"],
    }.items():
        layout = ground.folder / name
        digests[name] = edge_ground.variant(first.layout, layout, name, command)
        ground.put(layout, name)
    return digests


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Bare machines; hosts.yml and edge.yml are rehearsed, and run twice."""
    with edge_ground.ground(tmp_path_factory.mktemp("edge")) as ground:
        edges = {name: ground.host(name) for name in URLS}
        mirror = ground.host("mirror-1")
        checks = {("registry_mirror", "mirror-1"): partial(edge_checks.mirror, mirror)}
        for name, host in edges.items():
            checks["edge_runtime", name] = partial(edge_checks.runtime, host)
            checks["edge_service", name] = partial(edge_checks.service, host, name, "")
        failed = {which for which, check in checks.items() if fails(check)}
        of_hosts = _thrice(partial(ground.play, "hosts"), mirror, *edges.values())
        digests = images(ground)
        of_edge = _thrice(partial(ground.edge, digests["first"]), *edges.values())
        rehearsed, first, second = map(set.union, of_hosts, of_edge)
        yield House(
            ground=ground, rehearsed=rehearsed, first=first, second=second, digests=digests,
            failed=failed,
        )  # fmt: skip


def _thrice(play: Callable[..., Any], *hosts: Host) -> list[set[str]]:
    """What a rehearsal names, and what a run and a second run change.

    AssertionError for a rehearsal that changes a file of these hosts.
    """
    before = [machines.files(host) for host in hosts]
    runs = [play("--check", "--diff")]
    for host, then in zip(hosts, before, strict=True):
        assert machines.files(host) ^ then == set()
    runs += [play(), play()]
    assert [done.returncode for done in runs] == [0, 0, 0], _told(*runs)
    return [named(done.stdout) for done in runs]


def _told(*runs: Any) -> str:
    return "\n".join(done.stdout[-6000:] + done.stderr for done in runs if done.returncode)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("registry_mirror", "mirror-1"),
        *((role, name) for role in ("edge_runtime", "edge_service") for name in URLS),
    ],
)
def test_the_check_of_a_role_failed_before_it_ran(house: House, role: str, name: str) -> None:
    assert (role, name) in house.failed


@pytest.mark.parametrize("name", URLS)
def test_an_edge_host_is_as_the_roles_promise(house: House, name: str) -> None:
    edge_checks.runtime(house.host(name))
    edge_checks.service(house.host(name), name, house.digests["first"])


def test_a_mirror_is_as_the_role_promises(house: House) -> None:
    edge_checks.mirror(house.host("mirror-1"))


def test_a_rehearsal_on_bare_machines_names_exactly_what_the_runs_then_change(
    house: House,
) -> None:
    assert {one.split(":")[0] for one in house.first} == set(ADDRESSES)
    assert house.rehearsed - house.first == set()
    assert house.first - house.rehearsed == set()


def test_a_second_run_changes_nothing_on_edge_hosts_and_mirror(house: House) -> None:
    assert house.second == set()


def test_a_mirror_gives_to_those_with_a_password_and_takes_from_itself_only(house: House) -> None:
    mirror, edge = house.host("mirror-1"), house.host("edge-1")
    account = places.state("onprem") / "credentials" / "registry-push"
    push = "python3 -c 'import urllib.request as w, ssl, sys, base64; " + "; ".join(
        [
            'c = ssl.create_default_context(cafile="/etc/modelyard-mirror/ca.crt")',
            f'r = w.Request("{edge_ground.ENDPOINT}/v2/digits/blobs/uploads/", b"", method="POST")',
            'a = base64.b64encode(("push:" + sys.stdin.read()).encode()).decode()',
            'r.add_header("Authorization", "Basic " + a)',
            "w.urlopen(r, context=c)'",
        ]
    )
    told = mirror.run(f"printf %s | {push}", account.read_text())

    assert "405" in told.stderr or "HTTP Error 4" in told.stderr, told
    listening = outcomes.said(mirror, "ss --listening --tcp --numeric --no-header")
    assert f"{ADDRESSES['mirror-1']}:5000" in listening
    assert "127.0.0.1:5001" in listening
    unknown = edge.run(f"podman pull --creds=pull:wrong {edge_ground.REGISTRY}/digits:1.0.0")
    assert unknown.rc != 0
    assert "unauthorized" in unknown.stderr or "authentication" in unknown.stderr


@pytest.mark.parametrize("name", URLS)
def test_an_edge_host_predicts_and_says_what_runs(house: House, name: str) -> None:
    host = house.host(name)

    assert edge_checks.predict(host, name)
    assert edge_checks.ask(host, f"{URLS[name]}/livez")[0] == 200
    status, page = edge_checks.ask(host, f"{URLS[name]}/metrics")
    assert status == 200
    assert f'digest="{house.digests["first"]}"' in page
    assert 'code="200"' in page


def test_a_service_listens_where_it_was_told_to_and_on_loopback_otherwise(house: House) -> None:
    for name, wanted in {"edge-1": "127.0.0.1:3000", "edge-2": "172.29.70.12:8080"}.items():
        told = outcomes.said(house.host(name), "ss --listening --tcp --numeric --no-header")
        places_of = [line.split()[3] for line in told.splitlines()]
        port = wanted.rsplit(":", 1)[1]
        assert [one for one in places_of if one.endswith(f":{port}")] == [wanted]


@pytest.mark.parametrize(("name", "memory", "cpus"), [("edge-1", 384, 1.0), ("edge-2", 384, 0.5)])
def test_a_service_has_no_rights_and_no_more_than_its_share(
    house: House, name: str, memory: int, cpus: float
) -> None:
    host = house.host(name)
    pid = outcomes.said(host, "podman inspect --format {{.State.Pid}} modelyard-edge").strip()
    status = dict(
        line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines()
    )

    assert status["Uid"].split() == ["1034"] * 4
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    inside = host.run(f"nsenter --mount --target {pid} touch /app/x /tmp/x")
    assert "/app/x': Read-only" in inside.stderr
    assert "/tmp/x" not in inside.stderr
    told = json.loads(outcomes.said(host, "podman inspect modelyard-edge"))[0]["HostConfig"]
    assert told["Memory"] == told["MemorySwap"] == memory << 20
    assert told["NanoCpus"] == cpus * 1e9
    group = next(
        line.split(":", 2)[2]
        for line in host.file(f"/proc/{pid}/cgroup").content_string.splitlines()
        if ":memory:" in line or line.startswith("0::/system.slice")
    )
    found = [
        host.file(path)
        for path in (
            f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes",
            f"/sys/fs/cgroup{group}/memory.max",
        )
    ]
    assert [int(file.content_string) for file in found if file.exists] == [memory << 20]


def test_an_image_whose_command_ends_is_rolled_back_and_the_old_one_answers(house: House) -> None:
    first, broken = house.digests["first"], house.digests["broken"]

    done = house.ground.edge(broken, "--limit", "edge-1")

    assert done.returncode == 2
    told = " ".join(done.stdout.split())
    assert broken in told
    assert f"It went back to {first}" in told
    host = house.host("edge-1")
    assert edge_checks.ready(host) == first
    assert edge_checks.predict(host, "edge-1")
    assert broken not in outcomes.said(host, "podman images --digests --no-trunc")


def test_an_image_that_failed_is_not_tried_again_by_a_restart(house: House) -> None:
    host = house.host("edge-1")

    outcomes.said(host, f"systemctl restart {UNIT}")

    assert edge_checks.ready(host) == house.digests["first"]


def test_a_first_host_that_fails_keeps_the_others_as_they_are(house: House) -> None:
    before = outcomes.configured(house.host("edge-2"), "/etc/modelyard-edge/wanted.env")

    done = house.ground.edge(house.digests["silent"])

    assert done.returncode == 2
    assert "was not ready within 45 s" in " ".join(done.stdout.split())
    assert edge_checks.ready(house.host("edge-1")) == house.digests["first"]
    after = outcomes.configured(house.host("edge-2"), "/etc/modelyard-edge/wanted.env")
    assert after == before


def test_a_new_version_leaves_itself_and_the_one_before_on_the_host(house: House) -> None:
    first, second = house.digests["first"], house.digests["second"]

    rehearsed, changed, again = _thrice(partial(house.ground.edge, second, version="1.0.1"))

    tasks = ("image | Pull it by its digest", "release | Restart modelyard-edge.service")
    assert changed >= {f"{name}: edge_service : {task}" for name in URLS for task in tasks}
    assert rehearsed - changed == set()
    assert changed - rehearsed == set()
    assert again == set()
    for name in URLS:
        host = house.host(name)
        assert edge_checks.ready(host) == second
        listed = outcomes.said(host, "podman images --noheading --digests --no-trunc")
        assert {line.split()[2] for line in listed.splitlines()} == {first, second}


def test_a_first_host_that_is_away_keeps_the_others_as_they_are(house: House) -> None:
    with house.ground.but({"edge-1": {"ansible_host": onprem.container("edge-3")}}):
        done = house.ground.edge(house.digests["first"])

    assert done.returncode == 4
    told = " ".join(done.stdout.split())
    assert f"edge-1: ansible_host is '{onprem.container('edge-3')}': it has to answer" in told
    assert "use --limit" in told
    assert named(done.stdout) == set()
    assert edge_checks.ready(house.host("edge-2")) == house.digests["second"]


def test_hosts_that_are_away_or_refused_do_not_stop_those_beside_them(house: House) -> None:
    first, mirror = house.digests["first"], house.host("mirror-1")
    # The mirror's machine stands for an edge host that lets nobody become root.
    outcomes.said(mirror, "useradd --create-home visitor")
    own = edge_ground.EDGE | {"ansible_connection": "docker", "node_address": NOBODY}
    more = {
        "edge-3": own | {"ansible_host": onprem.container("edge-3")},
        "edge-4": own | {"ansible_host": onprem.container("mirror-1"), "ansible_user": "visitor"},
    }

    with house.ground.but(more):
        done = house.ground.edge(first)

    assert done.returncode != 0
    told = " ".join(done.stdout.split())
    assert f"edge-3: ansible_host is '{onprem.container('edge-3')}': it has to answer" in told
    assert "edge-4: ansible_user is 'visitor': the user whom Ansible enters as has to" in told
    assert "Give it the right in /etc/sudoers.d" in told
    assert {one.split(":")[0] for one in named(done.stdout)} == set(URLS)
    assert [edge_checks.ready(house.host(name)) for name in URLS] == [first, first]


def test_a_tag_is_refused_before_anything_is_touched(house: House) -> None:
    before = edge_checks.ready(house.host("edge-1"))

    done = house.ground.edge("1.0.0")

    assert done.returncode == 2
    told = " ".join(done.stdout.split())
    assert "edge-1: edge_service_digest is '1.0.0'" in told
    assert "copy the digest" in told
    assert "Look whether the image is on the host" not in told
    assert edge_checks.ready(house.host("edge-1")) == before


def test_edge_hosts_and_mirror_are_looked_at_too(house: House) -> None:
    done = house.ground.play("validate")

    told = " ".join(done.stdout.split())
    assert "BROKEN" not in told, done.stdout
    assert "changed=1" not in told
    outcomes.said(house.host("edge-1"), f"systemctl stop {UNIT}")
    try:
        broken = house.ground.play("validate")
    finally:
        outcomes.said(house.host("edge-1"), f"systemctl start {UNIT}")
    assert broken.returncode == 2
    told = " ".join(broken.stdout.split())
    for check in (f"edge-1 unit {UNIT}: inactive", "edge-1 model: ", "edge-1 image: none is ready"):
        assert f"BROKEN {check}" in told, broken.stdout


@pytest.mark.parametrize(
    "misfortune",
    ["podman kill --signal KILL modelyard-edge", "kill -STOP $(pgrep --parent {pid})"],
    ids=["dies", "hangs"],
)
def test_a_service_that_dies_or_hangs_is_started_again(house: House, misfortune: str) -> None:
    host = house.host("edge-2")
    pid = outcomes.said(host, "podman inspect --format {{.State.Pid}} modelyard-edge").strip()

    outcomes.said(host, misfortune.format(pid=pid))

    def anew() -> bool:
        now = host.run("podman inspect --format {{.State.Pid}} modelyard-edge").stdout.strip()
        return now not in {"", "0", pid} and edge_checks.ready(host) == house.digests["first"]

    edge_checks.until(anew, "no new process")
    assert edge_checks.predict(host, "edge-2")


def test_a_journal_that_is_full_lets_the_oldest_go(house: House) -> None:
    host = house.host("edge-2")

    outcomes.said(host, "head -c 40M /dev/urandom | base64 -w 40000 | systemd-cat")
    outcomes.said(host, "journalctl --sync")

    told = outcomes.said(host, "journalctl --disk-usage")
    taken = float(told.split(" take up ")[1].split("M")[0])
    assert taken <= 18  # 16 and what is open
    assert outcomes.said(host, "ls /var/log/journal")


def test_a_host_goes_on_without_a_network_also_after_a_restart_of_the_host(house: House) -> None:
    host, name = house.host("edge-1"), onprem.container("edge-1")
    edge_ground.said("docker", "network", "disconnect", edge_ground.NETWORK, name)
    try:
        assert host.run(f"podman pull {edge_ground.REGISTRY}/digits:1.0.0").rc != 0
        outcomes.said(host, f"systemctl restart {UNIT}")
        assert edge_checks.predict(host, "edge-1")
        edge_ground.said("docker", "restart", name)
        edge_checks.until(
            lambda: host.run(f"systemctl is-active {UNIT}").stdout.strip() == "active",
            "the service is not back",
        )
        assert edge_checks.ready(host) == house.digests["first"]
        assert edge_checks.predict(host, "edge-1")
        # And what the host has already can be asked for: nothing is pulled then.
        back = house.ground.edge(house.digests["second"], "--limit", "edge-1", version="1.0.1")
        assert back.returncode == 0, _told(back)
        assert edge_checks.ready(host) == house.digests["second"]
    finally:
        address = ["--ip", ADDRESSES["edge-1"]]
        edge_ground.said("docker", "network", "connect", *address, edge_ground.NETWORK, name)
