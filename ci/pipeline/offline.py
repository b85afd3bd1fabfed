"""A preview without credentials, state or cluster: the real engine and our stand-ins, from nothing.

What would be compared with a state is compared with another commit instead: both programs are
previewed from nothing, and the difference of what they ask for is told.
"""

import io
import os
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ci.pipeline import backend, events, plugins, workplace
from ci.pipeline.events import Changes, PolicyError, Run, Step
from ci.pipeline.preview import Preview
from ci.pipeline.steps import Steps
from ci.pipeline.workplace import Project
from ci.report import Report
from ci.toolchain import modulefiles, provide
from infra import places
from infra.environment import Environment
from infra.plugins.kubernetes import paths
from infra.refusal import Refusal

ALONE = (
    "Neither an account nor a cluster nor a state was asked: this is all that the programs ask "
    "for, as if nothing were there yet."
)
COMPARED = (
    "Neither an account nor a cluster nor a state was asked: this compares what the programs of "
    "`{against}` and of this change ask for. What differs in reality is not seen, nor is a new "
    "value of a secret; whether a change replaces a resource is not known."
)


def run(env: Environment, steps: Steps, against: str | None = None) -> Preview:
    """Preview all projects offline, against another commit or from nothing.

    Refusal when the commit is not known; StackError when a program fails.
    """
    with steps.step("tools") as report:
        provide.ensure_all("closed", ["pulumi"], report)
        modulefiles.ensure("pulumi-language-python-exec")
    before: dict[Project, Changes] = {}
    if against:
        with _checkout(against) as root:
            for project in _projects(env, root):
                with steps.step(f"preview {project} of {against}") as report:
                    before[project] = _graph(env, project, root, report, guarded=False)
    found: dict[str, Changes] = {}
    refused: dict[str, str] = {}
    for project in workplace.projects(env):
        with steps.step(f"preview {project}") as report:
            try:
                after = _graph(env, project, places.REPOSITORY, report)
            except PolicyError as error:
                after, refused[project] = error.changes, str(error)
        found[project] = difference(before.get(project, Changes()), after) if against else after
    steps.remember()
    text = COMPARED.format(against=against) if against else ALONE
    region = env.aws.region if env.aws else None
    return Preview(env.name, found, refused, region, text)


def difference(before: Changes, after: Changes) -> Changes:
    """What one graph has and the other has not. Both are of creations only."""
    old = {step.urn: step for step in before.steps if step.op == "create"}
    new = {step.urn: step for step in after.steps if step.op == "create"}
    found = Changes(violations=after.violations)
    for urn, step in new.items():
        if urn not in old:
            found.steps.append(step)
            found.create += 1
        elif changed := _changed(old[urn], step):
            found.steps.append(changed)
            found.update += 1
        else:
            found.unchanged.append(urn)
            found.same += 1
    for urn, step in old.items():
        if urn not in new:
            gone = {"old": step.metadata.get("new")}
            found.steps.append(replace(step, op="delete", paths=(), metadata=gone))
            found.delete += 1
    return found


def _changed(old: Step, new: Step) -> Step | None:
    """An update, if the inputs differ. Nobody here knows whether it replaces the resource."""
    before, after = ((step.metadata["new"] or {}).get("inputs") or {} for step in (old, new))
    differing = {}
    for path in paths.differences(before, after):
        was, is_ = paths.get(before, path)[0], paths.get(after, path)[0]
        kind = "update" if was and is_ else "add" if is_ else "delete"
        differing[paths.write(path)] = {"diffKind": kind, "inputDiff": True}
    if not differing:
        return None
    metadata = {"old": {"inputs": before}, "new": {"inputs": after}, "detailedDiff": differing}
    return Step(new.urn, "update", tuple(sorted(differing)), metadata, uncertain=True)


def _graph(
    env: Environment, project: Project, root: Path, report: Report, *, guarded: bool = True
) -> Changes:
    """What the program of one project in a checkout asks for, from nothing."""
    with _nowhere():
        _prepare(env, project)
        # The checkout's own modules, before those of the installed one.
        variables = workplace.environment(env, backend.Folder(env)) | {"PYTHONPATH": str(root)}
        if not guarded:
            for name in workplace.guarded():
                del variables[name]
        taken = Run(total=0, report=report)
        folder = root / workplace.FOLDERS[project].relative_to(places.REPOSITORY)
        pulumi = str(workplace.state(env) / "bin" / "pulumi")
        command = [pulumi, "preview", "--non-interactive", "--color", "never"]
        log = places.cache() / "logs" / f"offline-{env.name}-{project}.log"
        events.run(command, folder, variables, taken, log)
        return taken.changes


def _projects(env: Environment, root: Path) -> list[Project]:
    """Projects that a checkout has; none where it does not know the environment."""
    if not (root / f"Pulumi.{env.name}.yaml").is_file():
        return []
    folders = workplace.FOLDERS
    return [
        project
        for project in workplace.projects(env)
        if (root / folders[project].relative_to(places.REPOSITORY) / "Pulumi.yaml").is_file()
    ]


def _prepare(env: Environment, project: Project) -> None:
    folder = workplace.state(env)
    kept = backend.Folder(env)  # an account's bucket is not asked either
    kept.require()
    for name in ("bin", "pulumi-home", "credentials"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "credentials" / "passphrase").write_text(secrets.token_hex(16))
    workplace.engine(folder / "bin")
    workplace.without_debug_log(folder / "pulumi-home")
    plugins.stand_in(folder / "pulumi-home")
    plugins.offline_aws(folder / "pulumi-home")
    workplace.stack(env, project, kept)


@contextmanager
def _nowhere() -> Iterator[None]:
    """An empty state folder, gone afterwards, and no word of an account: nothing can be asked."""
    known = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="modelyard-offline-") as scratch:
        for name in known:
            if name.startswith(("PULUMI_", "AWS_")) or name == "KUBECONFIG":
                del os.environ[name]
        os.environ["XDG_STATE_HOME"] = scratch
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(known)


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """The files of a commit, with this checkout's virtual environment beside them."""
    done = subprocess.run(
        ["git", "archive", "--format=tar", "--end-of-options", commit],
        cwd=places.REPOSITORY,
        capture_output=True,
    )
    if done.returncode:
        raise Refusal(
            "--against",
            commit,
            done.stderr.decode().strip(),
            "Name a commit or branch that this checkout has; `git fetch` brings more.",
        )
    with tempfile.TemporaryDirectory(prefix="modelyard-against-") as scratch:
        root = Path(scratch)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(root, filter="data")
        (root / ".venv").symlink_to(places.REPOSITORY / ".venv")
        yield root
