"""Stacks of an environment: what is prepared, what is counted, what a killed run leaves."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ci import report
from ci.pipeline import backend, events, plugins, stacks, workplace
from ci.pipeline.events import Changes, Run, StackError, Step
from infra import environment, places, refusal
from infra.environment import Environment
from tests.infra.plugins.apiserver import ApiServer
from tests.infra.plugins.conftest import kubelet, server
from tests.infra.policy import cases

__all__ = ["server"]

URN = "urn:pulumi:test::modelyard::kubernetes:apps/v1:Deployment::registry"


def before(op: str, urn: str = URN, **metadata: Any) -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": {"op": op, "urn": urn, **metadata}}}


def after(op: str, urn: str = URN, **metadata: Any) -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": {"op": op, "urn": urn, "new": {}, **metadata}}}


def gathered(*taken: dict[str, Any], total: int = 0) -> tuple[Run, list[tuple[str, int, int]]]:
    told: list[tuple[str, int, int]] = []
    run = Run(total=total, report=lambda *line: told.append(line))
    for event in taken:
        run.take(event)
    return run, told


def test_counts_come_from_the_engines_summary() -> None:
    counts = {"create": 2, "update": 3, "replace": 1, "delete": 4, "same": 5}
    run, _ = gathered({"summaryEvent": {"resourceChanges": counts}})

    assert run.changes == Changes(create=2, update=3, replace=1, delete=4, same=5)
    assert not run.changes.none


def test_nothing_but_same_is_no_change() -> None:
    run, _ = gathered({"summaryEvent": {"resourceChanges": {"same": 5}}})

    assert run.changes.none


def test_a_step_has_its_property_paths_and_same_is_no_step() -> None:
    diff = {"spec.replicas": {"diffKind": "update"}, "metadata.labels.a": {"diffKind": "add"}}
    run, _ = gathered(before("same"), before("update", detailedDiff=diff))

    assert run.changes.steps == [Step(URN, "update", ("metadata.labels.a", "spec.replicas"))]


def test_the_parts_of_a_replacement_are_one_step() -> None:
    run, _ = gathered(
        before("create-replacement"), before("replace"), before("delete-replaced"), after("replace")
    )

    assert [step.op for step in run.changes.steps] == ["replace"]


def test_a_refresh_tells_what_changed_and_what_is_gone() -> None:
    diff = {"data.a": {"diffKind": "update"}}
    run, _ = gathered(
        before("refresh"),
        before("refresh", urn=URN + "-2"),
        before("refresh", urn=URN + "-3"),
        after("update", detailedDiff=diff),
        after("same", urn=URN + "-2"),
        after("delete", urn=URN + "-3"),
    )

    assert run.changes.steps == [Step(URN, "update", ("data.a",)), Step(URN + "-3", "delete")]


def test_progress_counts_resources_and_names_them() -> None:
    _, told = gathered(before("create"), after("create"), after("same", urn=URN + "-2"), total=2)

    assert told == [
        ("create Deployment registry", 0, 2),
        ("create Deployment registry", 1, 2),
        ("same Deployment registry-2", 2, 2),
    ]


def test_progress_never_passes_its_total() -> None:
    _, told = gathered(after("create"), after("create", urn=URN + "-2"), total=1)

    assert told[-1][1:] == (2, 2)


def test_what_a_resource_waits_for_is_told() -> None:
    _, told = gathered(
        {
            "diagnosticEvent": {
                "urn": URN,
                "severity": "info",
                "message": "waiting: 0 of 1 pods",
                "ephemeral": True,
            }
        }
    )

    assert told == [("Deployment registry: waiting: 0 of 1 pods", 0, 0)]


def test_errors_name_their_resource() -> None:
    run, _ = gathered(
        {"diagnosticEvent": {"urn": URN, "severity": "error", "message": "no such image\n"}},
        {"diagnosticEvent": {"severity": "error", "message": "update failed"}},
    )

    assert run.errors == ["Deployment registry: no such image", "update failed"]


def test_a_command_that_fails_without_an_event_shows_its_last_lines(tmp_path: Path) -> None:
    run, _ = gathered()
    log = tmp_path / "logs" / "run.log"
    with pytest.raises(StackError, match=r"(?s)no such flag.*run\.log"):
        events.run(["sh", "-c", "echo no such flag; exit 3"], tmp_path, {}, run, log)


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment `test` with a state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    return environment.load("test")


def test_plain_pulumi_gets_all_it_needs_and_path_only_once(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places.state("test")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin")

    variables = workplace.environment(env)

    assert variables["PATH"] == f"{folder / 'bin'}:/usr/bin"
    assert variables["PULUMI_BACKEND_URL"] == f"file://{folder / 'pulumi'}?metadata=skip"
    assert variables["PULUMI_STACK"] == "test"
    assert variables["KUBECONFIG"] == str(folder / "kubeconfig")
    assert not any("passphrase" in key.lower() and key.endswith("PHRASE") for key in variables)


def test_loopback_is_kept_from_a_proxy(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "intern.test")

    assert workplace.environment(env)["NO_PROXY"] == "intern.test,127.0.0.1,localhost"


def test_a_state_that_another_plugin_wrote_is_refused_with_the_remedy(env: Environment) -> None:
    record = places.state("test") / "pulumi" / "plugins.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"kubernetes": "vendor"}')

    with pytest.raises(refusal.Refusal, match=r"written with that plugin.*yard down test"):
        workplace.prepare(env)


def test_stand_ins_never_serve_a_production_environment(env: Environment) -> None:
    production = env.model_copy(update={"production": True})

    with pytest.raises(refusal.Refusal, match="never serve a production environment"):
        workplace.prepare(production)


def test_a_launcher_starts_where_paths_are_longer_than_a_first_line_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120) / "with space"
    deep.mkdir(parents=True)
    interpreter = deep / "python"
    interpreter.write_text(
        "#!/bin/sh\nexec " + str(places.REPOSITORY / ".venv/bin/python") + ' "$@"\n'
    )
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    plugins.launcher(tmp_path / "started", "print('started', sys.argv[1:])\n")

    done = subprocess.run([tmp_path / "started", "a b"], capture_output=True, text=True)

    assert done.stdout == "started ['a b']\n", done.stderr


def lock(env: Environment, pid: int) -> Path:
    folder = places.state(env.name) / "pulumi/.pulumi/locks/organization/modelyard/test"
    folder.mkdir(parents=True)
    path = folder / "1.json"
    path.write_text(json.dumps({"pid": pid, "username": "a", "hostname": "b"}))
    return path


def test_the_lock_of_a_process_that_is_gone_is_removed(env: Environment) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    path = lock(env, ended.pid)

    stacks.Stack(env, "platform").unlock()

    assert not path.exists()


def test_the_lock_of_another_program_with_the_same_number_is_removed(env: Environment) -> None:
    path = lock(env, os.getpid())

    stacks.Stack(env, "platform").unlock()

    assert not path.exists()


def test_the_lock_of_a_pulumi_that_runs_is_respected(env: Environment, tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as living:
        path = lock(env, living.pid)
        end = time.monotonic() + 10
        while Path(f"/proc/{living.pid}/comm").read_text().strip() != "pulumi":
            assert time.monotonic() < end
        with pytest.raises(StackError, match=f"process {living.pid}"):
            stacks.Stack(env, "platform").unlock()
        living.kill()

    assert path.exists()


def test_what_a_killed_run_half_made_in_an_account_is_named_and_not_forgotten(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    urn = "urn:pulumi:dev::modelyard-foundation::aws:eks/cluster:Cluster::eks-cluster"
    pending = {"type": "creating", "resource": {"urn": urn, "type": "aws:eks/cluster:Cluster"}}
    state = {"checkpoint": {"latest": {"pending_operations": [pending]}}}
    account = environment.load("dev")
    monkeypatch.setattr(backend.Bucket, "document", lambda *_: state)

    with pytest.raises(StackError) as failed:
        stacks.Stack(account, "foundation").up(report.silent)

    assert urn in str(failed.value)
    assert "pulumi refresh" in str(failed.value)
    assert "yard env dev" in str(failed.value)


PROGRAM = """
import pulumi
import pulumi_kubernetes as kubernetes

provider = kubernetes.Provider("cluster", kubeconfig={kubeconfig!r}, namespace="default")
opts = pulumi.ResourceOptions(provider=provider)
for name in {names!r}:
    kubernetes.core.v1.ConfigMap(
        name, metadata={{"name": name}}, data={{"a": {value!r}}}, opts=opts
    )
kubernetes.core.v1.Pod(
    "{prefix}-pod",
    metadata={{"name": "{prefix}-pod"}},
    spec={pod!r},
    opts=opts,
)
pulumi.export("answer", pulumi.Output.secret({value!r}))
"""


class Project:
    """A program of the test's own in the place of the platform's."""

    def __init__(self, env: Environment, folder: Path, server: ApiServer) -> None:
        self.env, self.folder, self.server = env, folder, server
        self.prefix = folder.parent.name.replace("_", "-")[:40].strip("-")
        folder.mkdir()
        document = {
            "name": "modelyard",
            "runtime": {
                "name": "python",
                "options": {"virtualenv": str(places.REPOSITORY / ".venv")},
            },
        }
        (folder / "Pulumi.yaml").write_text(json.dumps(document))
        self.stack = stacks.Stack(env, "platform")

    def program(self, *names: str, value: str = "1") -> None:
        text = PROGRAM.format(
            kubeconfig=str(places.state(self.env.name) / "kubeconfig"),
            names=[f"{self.prefix}-{name}" for name in names],
            value=value,
            prefix=self.prefix,
            pod=cases.GOOD,
        )
        (self.folder / "__main__.py").write_text(text)

    def path(self, name: str) -> str:
        kind = "pods" if name == "pod" else "configmaps"
        return f"/api/v1/namespaces/default/{kind}/{self.prefix}-{name}"


@pytest.fixture
def project(
    env: Environment, server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A prepared environment whose platform is a small program."""
    monkeypatch.setitem(workplace.FOLDERS, "platform", tmp_path / "program")
    found = Project(env, tmp_path / "program", server)
    stacks.prepare(env)
    kubeconfig = places.state(env.name) / "kubeconfig"
    kubeconfig.write_text(server.kubeconfig.read_text())
    return found


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.apiserver
def test_preparing_leaves_the_checkout_clean_and_a_second_time_changes_nothing(
    env: Environment,
) -> None:
    git = ["git", "-C", str(places.REPOSITORY), "status", "--porcelain", "--", "*.yaml"]
    clean = subprocess.run(git, capture_output=True, check=True).stdout

    stacks.prepare(env)
    first = listing(places.state("test"))
    stacks.prepare(env)

    assert subprocess.run(git, capture_output=True, check=True).stdout == clean
    assert listing(places.state("test")) == first
    assert not list(places.state("test").rglob("*.attrs"))
    stack_file = places.state("test") / "Pulumi.test.yaml"
    assert stack_file.read_text().startswith((places.REPOSITORY / "Pulumi.test.yaml").read_text())
    assert "encryptionsalt: v1:" in stack_file.read_text()


@pytest.mark.apiserver
def test_a_changed_stack_file_of_the_checkout_is_taken_over_with_the_same_salt(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.prepare(env)
    path = places.state("test") / "Pulumi.test.yaml"
    salt = path.read_text().splitlines()[-1]
    changed = tmp_path / "checkout"
    changed.mkdir()
    (changed / "Pulumi.test.yaml").write_text("config: {a: b}\n")
    monkeypatch.setattr(places, "REPOSITORY", changed)

    stacks.prepare(env)

    assert path.read_text() == f"config: {{a: b}}\n{salt}\n"


@pytest.mark.apiserver
def test_a_lost_stack_file_gets_its_salt_back_from_the_state(project: Project) -> None:
    project.program("one")
    with kubelet(project.server, "default"):
        project.stack.up(report.silent)
    path = places.state("test") / "Pulumi.test.yaml"
    kept = path.read_text()
    path.unlink()

    stacks.prepare(project.env)

    assert path.read_text() == kept
    assert project.stack.outputs() == {"answer": "1"}


@pytest.mark.apiserver
def test_preview_up_refresh_and_destroy_count_and_name_what_they_do(project: Project) -> None:
    told: list[tuple[str, int, int]] = []
    project.program("one", "two")
    with kubelet(project.server, "default"):
        preview = project.stack.preview(report.silent)
        assert project.server.find(project.path("one")) is None
        up = project.stack.up(lambda *line: told.append(line))
        again = project.stack.up(report.silent)
        project.program("one", value="2")
        changed = project.stack.preview(report.silent)
        project.server.request("DELETE", project.path("two"))
        refresh = project.stack.refresh(report.silent)
        gone = project.stack.destroy(report.silent)

    assert (preview.create, preview.same) == (5, 0)
    assert (up.create, up.update, up.delete) == (5, 0, 0)
    assert any(text.startswith("create ConfigMap") for text, _, _ in told)
    assert again.none
    assert again.same == 5
    assert again.steps == []
    assert (changed.update, changed.delete, changed.same) == (1, 1, 3)
    assert {(step.op, step.name.rpartition("-")[2], step.paths) for step in changed.steps} == {
        ("update", "one", ("data.a",)),
        ("delete", "two", ()),
    }
    assert refresh.delete == 1
    assert [step.op for step in refresh.steps] == ["delete"]
    assert gone.delete == 4
    assert project.server.find(project.path("one")) is None


@pytest.mark.apiserver
def test_a_failed_up_says_what_the_engine_said_and_where_the_rest_is(project: Project) -> None:
    (project.folder / "__main__.py").write_text("raise ValueError('no such pool')\n")

    with pytest.raises(StackError) as failed:
        project.stack.up(report.silent)

    assert "ValueError: no such pool" in str(failed.value)
    log = places.state("test") / "logs" / "pulumi-up-platform.log"
    assert str(log) in str(failed.value)
    assert "no such pool" in log.read_text()


@pytest.mark.apiserver
def test_a_killed_up_is_finished_by_the_next_by_asking_the_cluster(project: Project) -> None:
    project.program("one")
    variables = os.environ | stacks.engine_environment(project.env)
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    killed = subprocess.Popen(command, cwd=project.folder, env=variables, stdout=subprocess.DEVNULL)
    # The pod waits for a kubelet: its creation is under way.
    end = time.monotonic() + 60
    while project.server.find(project.path("pod")) is None:
        assert time.monotonic() < end, "the pod did not appear"
        time.sleep(0.05)
    uid = project.server.get(project.path("pod"))["metadata"]["uid"]
    killed.kill()
    killed.wait()
    state = workplace.state_file(project.env, "platform")
    assert "pending_operations" in state.read_text()
    assert list((places.state("test") / "pulumi/.pulumi/locks").rglob("*.json"))

    told: list[tuple[str, int, int]] = []
    with kubelet(project.server, "default"):
        project.stack.up(lambda *line: told.append(line))

    assert ("asking the cluster what a killed run has made", 0, 0) in told
    assert project.server.get(project.path("pod"))["metadata"]["uid"] == uid
    assert project.stack.preview(report.silent).none
    assert "pending_operations" not in state.read_text()


@pytest.mark.apiserver
def test_a_creation_that_never_reached_the_cluster_is_begun_anew(project: Project) -> None:
    project.program("one")
    with kubelet(project.server, "default"):
        project.stack.up(report.silent)
        state = workplace.state_file(project.env, "platform")
        document = json.loads(state.read_text())
        latest = document["checkpoint"]["latest"]
        (lost,) = [entry for entry in latest["resources"] if entry["urn"].endswith("-one")]
        latest["resources"].remove(lost)
        latest["pending_operations"] = [
            {
                "resource": {k: v for k, v in lost.items() if k not in ("id", "outputs")},
                "type": "creating",
            }
        ]
        state.write_text(json.dumps(document))
        project.server.request("DELETE", project.path("one"))

        changes = project.stack.up(report.silent)

    assert changes.create == 1
    assert project.server.find(project.path("one")) is not None


@pytest.mark.apiserver
def test_plain_pulumi_in_the_project_folder_sees_the_same_stack(project: Project) -> None:
    project.program("one")
    with kubelet(project.server, "default"):
        project.stack.up(report.silent)
    variables = os.environ | stacks.engine_environment(project.env)

    done = subprocess.run(
        ["pulumi", "preview", "--non-interactive", "--expect-no-changes"],
        cwd=project.folder,
        env=variables,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    assert sorted(path.name for path in project.folder.iterdir()) == ["Pulumi.yaml", "__main__.py"]
