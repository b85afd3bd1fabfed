"""scale.yml takes a node away whose host is gone, through a control plane that lives.

The API server and kubectl are real; the first control plane and the host that leaves answer nobody.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.pipeline import playbook
from ci.pipeline.playbook import Outcome
from ci.report import silent
from tests.ansible import example
from tests.infra.plugins import apiserver
from tests.infra.plugins.apiserver import ApiServer
from tests.system.house import until

pytestmark = pytest.mark.scenarios
NODE = "/api/v1/nodes/cpu-1"
MARK = "modelyard.dev/leaving"
# Playbooks ask each API server at its host's address, where this one is not.
KUBECTL = """#!/bin/sh
for word; do
    shift
    case $word in --server=*) ;; *) set -- "$@" "$word" ;; esac
done
exec {kubectl} --kubeconfig={kubeconfig} "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """An API server, and hosts of which only control-2 answers."""

    folder: Path
    server: ApiServer
    groups: dict[str, example.Group]

    def remove(self, *arguments: str) -> tuple[int, Outcome]:
        """Take cpu-1 away; exit code, and what was done or would be."""
        given = {"scale_remove": "cpu-1", "node_kubectl": [str(self.folder / "kubectl")]}
        with (self.folder / "progress").open("w+") as lines:
            done = example.play(
                self.folder,
                self.groups,
                "scale",
                *("--extra-vars", json.dumps(given), *arguments),
                descriptors=[lines.fileno()],
                ANSIBLE_CALLBACKS_ENABLED="progress",
                MODELYARD_PROGRESS_FD=lines.fileno(),
            )
            lines.seek(0)
            return done.returncode, playbook.follow(lines, silent)

    def node(self) -> tuple[bool, str | None]:
        """Whether pods may come to cpu-1, and its mark."""
        found = self.server.get(NODE)
        may = not found["spec"].get("unschedulable", False)
        return may, found["metadata"].get("annotations", {}).get(MARK)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("scale")
    gone, alive = example.hosts("control-1", **example.GONE), example.hosts("control-2")
    groups = {
        "control_plane": {"hosts": gone["hosts"] | alive["hosts"]},
        "workers": example.hosts("cpu-1", **example.GONE),
    }
    with apiserver.running(folder) as server:
        program = apiserver.binary("kubernetes", "kubectl")
        script = KUBECTL.format(kubectl=program, kubeconfig=server.kubeconfig)
        (folder / "kubectl").write_text(script)
        (folder / "kubectl").chmod(0o755)
        server.create("/api/v1/nodes", {"metadata": {"name": "cpu-1"}})
        yield Ground(folder=folder, server=server, groups=groups)


@pytest.fixture
def stubborn(ground: Ground) -> Iterator[None]:
    """A pod on cpu-1 that nobody would make again, so drain does not take it."""
    pods = "/api/v1/namespaces/default/pods"
    container = {"name": "stubborn", "image": "simulated"}
    spec = {"nodeName": "cpu-1", "containers": [container], "terminationGracePeriodSeconds": 0}
    ground.server.create(pods, {"metadata": {"name": "stubborn"}, "spec": spec})
    yield
    now = {"gracePeriodSeconds": 0}
    ground.server.request("DELETE", f"{pods}/stubborn", now)


@pytest.mark.parametrize(
    ("closed", "mark", "expected"),
    [(True, None, False), (True, "open", True)],
    ids=["somebody had cordoned it", "a run that was killed had cordoned it"],
)
@pytest.mark.usefixtures("stubborn")
def test_a_node_that_cannot_be_drained_is_as_somebody_left_it(
    ground: Ground, closed: bool, mark: str | None, expected: bool
) -> None:
    left = {"metadata": {"annotations": {MARK: mark}}, "spec": {"unschedulable": closed}}
    ground.server.patch(NODE, left)

    code, outcome = ground.remove()

    assert code == 2
    assert "cpu-1 was not drained and is as it was" in outcome.failures[-1]
    assert "default/stubborn" in outcome.failures[-1]
    assert ground.node() == (expected, None)


@pytest.fixture
def lost(ground: Ground) -> None:
    """A pod on cpu-1 that is made again elsewhere, and whose end no kubelet tells."""
    labels = {"app": "lost"}
    container = {"name": "lost", "image": "simulated"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": spec}
    copies = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    pods = "/api/v1/namespaces/default/pods"
    ground.server.create(
        "/apis/apps/v1/namespaces/default/replicasets",
        {"metadata": {"name": "lost"}, "spec": copies},
    )
    until("the pod is made", lambda: len(ground.server.get(pods)["items"]) == 1)
    name = ground.server.get(pods)["items"][0]["metadata"]["name"]
    binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "cpu-1"}}
    ground.server.create(f"{pods}/{name}/binding", binding)


@pytest.mark.usefixtures("lost")
def test_a_rehearsal_names_exactly_what_the_run_then_does(ground: Ground) -> None:
    before = ground.server.get(NODE)

    code, rehearsed = ground.remove("--check", "--diff")
    assert code == 0
    assert ground.server.get(NODE) == before
    code, done = ground.remove()

    assert code == 0
    assert ground.server.find(NODE) is None
    assert done.changes == rehearsed.changes
    assert done.changes == [
        "cpu-1: Remember whether pods were let in",
        "cpu-1: Cordon and drain it",
        "cpu-1: Delete the node",
    ]


def test_a_node_that_is_gone_already_leaves_nothing_to_do(ground: Ground) -> None:
    code, done = ground.remove()

    assert code == 0
    assert done.changes == []
