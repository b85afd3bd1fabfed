"""Where Pulumi works for one environment: its commands, plugins, backend, stacks and salt.

All of it stands under the environment's state folder, so that the checkout stays clean; whatever is
right already is left alone.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

import yaml

from ci.pipeline import backend, credentials, files, plugins
from ci.pipeline.backend import Backend
from ci.pipeline.events import StackError
from ci.report import Report, silent
from ci.toolchain import modulefiles, provide, supply
from infra import places, refusal
from infra.environment import Environment

Project = Literal["foundation", "platform", "models"]
FOLDERS: dict[Project, Path] = {
    "foundation": places.REPOSITORY / "infra" / "foundation",
    "platform": places.REPOSITORY,
    "models": places.REPOSITORY / "infra" / "models",
}
NAMES: dict[Project, str] = {
    "foundation": "modelyard-foundation",
    "platform": "modelyard",
    "models": "modelyard-models",
}
# How the secrets of a stack are encrypted: the engine adds it to the stack file.
_SECRETS = re.compile(r"^(?:encryptionsalt|secretsprovider|encryptedkey): *\S+ *\n?", re.MULTILINE)


def projects(env: Environment) -> tuple[Project, ...]:
    """The projects of an environment, each built on those before it."""
    return ("foundation", "platform", "models") if env.aws else ("platform", "models")


def state(env: Environment) -> Path:
    """The environment's state folder."""
    return places.state(env.name)


def environment(env: Environment, at: Backend | None = None) -> dict[str, str]:
    """All variables that plain `pulumi` needs in the repository, and kubectl with it.

    ``at``: where stacks are kept, if not where the environment's are.
    """
    folder = state(env)
    variables = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{_path_without(folder / 'bin')}",
        "PULUMI_HOME": str(folder / "pulumi-home"),
        "PULUMI_OPTION_CONFIG_FILE": str(_stack_file(env)),
        "PULUMI_STACK": env.name,
        # Neither asks a site that a closed network has not.
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "KUBECONFIG": str(folder / "kubeconfig"),
    }
    return variables | (at or backend.of(env)).variables | guarded() | _without_proxy()


def guarded() -> dict[str, str]:
    """What makes every preview and `up` run the policy pack, plain `pulumi` ones too."""
    # Flags from the environment are lists with commas, quoted as CSV has it.
    return {"PULUMI_OPTION_POLICY_PACK": f'"{places.REPOSITORY / "infra" / "policy"}"'}


def _path_without(folder: Path) -> str:
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if entry != str(folder))


def _without_proxy() -> dict[str, str]:
    """Engine, plugins and the API server talk over loopback: a proxy must not see that."""
    if not any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY")):
        return {}
    known = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").split(",")
    value = ",".join(dict.fromkeys([*filter(None, known), "127.0.0.1", "localhost"]))
    return {"NO_PROXY": value, "no_proxy": value}


def prepare(env: Environment, report: Report = silent) -> None:
    """Make commands, plugins, backend, stacks and the stack file; does nothing where all is there.

    Raises Refusal where another kind of plugin wrote the state, where the plugins that must serve
    cannot be had, and for an account that is not prepared.
    """
    folder = state(env)
    plugins.require(env)
    plugins.agree(env)
    backend.of(env).require()
    credentials.ensure(env)
    for name in ("bin", "pulumi-home"):
        (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    commands(folder / "bin", supply.resolve(env))
    without_debug_log(folder / "pulumi-home")
    plugins.install(env, folder / "pulumi-home", report)
    for project in projects(env):
        stack(env, project)


def state_file(env: Environment, project: Project) -> Path:
    """The file in which a backend on this machine keeps a stack."""
    return backend.Folder(env).file(NAMES[project])


def commands(folder: Path, source: supply.Supply = "closed") -> None:
    """Fill bin/: the engine, its language host beside it, kubectl."""
    engine(folder, source)
    files.link(_tool("kubernetes", "kubectl", source), folder / "kubectl")


def engine(folder: Path, source: supply.Supply = "closed") -> None:
    """Put the engine and its language host into a folder, side by side."""
    files.link(_tool("pulumi", "pulumi", source), folder / "pulumi")
    executor = folder / "pulumi-language-python-exec"
    files.link(modulefiles.ensure("pulumi-language-python-exec"), executor)
    plugins.launcher(
        folder / "pulumi-language-python",
        "from pathlib import Path\n"
        "from infra.plugins.language_host import main\n"
        f"main(Path({str(executor)!r}))\n",
    )


def without_debug_log(home: Path) -> None:
    """Keep the engine from writing all that it does into PULUMI_HOME/logs at debug level.

    No setting of 3.255 switches that off; a file where the folder would be does. It took 10 MB a
    run and three quarters of the engine's time. What a run says is in logs/ of the state folder.
    """
    logs = home / "logs"
    if logs.is_dir():
        shutil.rmtree(logs)
    if not logs.exists():
        files.write(logs, f"No folder, so that the engine keeps no debug log: {__name__}\n", 0o600)


def _tool(family: str, binary: str, source: supply.Supply) -> Path:
    entry = provide.find(family, source)
    if entry is None:
        raise refusal.Refusal(
            f"tool {family}",
            None,
            "it has not been built on this machine",
            "Run `yard up local`, which builds every tool; `yard doctor` lists what is missing.",
        )
    return entry.file(f"bin/{binary}")


def stack(env: Environment, project: Project, at: Backend | None = None) -> None:
    """Make a stack unless there is one, and bring the copy of its stack file up to date."""
    place = at or backend.of(env)
    secrets = _secrets(env, place)
    if place.document(NAMES[project]) is None:
        secrets = _init(env, project, place, secrets)
    checkout = (places.REPOSITORY / f"Pulumi.{env.name}.yaml").read_text()
    text = f"{_SECRETS.sub('', checkout).rstrip()}\n{secrets}"
    path = _stack_file(env)
    if not path.exists() or path.read_text() != text:
        files.write(path, text, 0o600)


def _stack_file(env: Environment) -> Path:
    return state(env) / f"Pulumi.{env.name}.yaml"


def _secrets(env: Environment, at: Backend) -> str:
    """How all stacks' secrets are encrypted: from the stack file, else from what a stack says."""
    path = _stack_file(env)
    if path.exists() and (found := "".join(_SECRETS.findall(path.read_text()))):
        return found
    for project in projects(env):
        document = at.document(NAMES[project]) or {}
        latest = document.get("checkpoint", {}).get("latest") or {}
        if kept := _words((latest.get("secrets_providers") or {}).get("state") or {}):
            return kept
    return ""


def _words(kept: dict[str, Any]) -> str:
    """What a state keeps of its secrets' encryption, in the words of a stack file."""
    if "salt" in kept:
        return f"encryptionsalt: {kept['salt']}\n"
    if "encryptedkey" in kept:
        return f"secretsprovider: {kept['url']}\nencryptedkey: {kept['encryptedkey']}\n"
    return ""


def _init(env: Environment, project: Project, at: Backend, secrets: str) -> str:
    """`pulumi stack init`, in a scratch folder: it writes into the folder of the project file."""
    with tempfile.TemporaryDirectory(prefix="modelyard-stack-") as scratch:
        here = Path(scratch)
        # Name and runtime only: `main` would have to exist here.
        document = yaml.safe_load((FOLDERS[project] / "Pulumi.yaml").read_text())
        short = {key: document[key] for key in ("name", "runtime")}
        (here / "Pulumi.yaml").write_text(yaml.safe_dump(short))
        stack_file = here / f"Pulumi.{env.name}.yaml"
        if secrets:
            stack_file.write_text(secrets)
        command = [str(state(env) / "bin" / "pulumi"), "stack", "init", env.name]
        command += ["--non-interactive", "--color", "never"]
        if at.secrets_provider:
            command += ["--secrets-provider", at.secrets_provider]
        variables = os.environ | environment(env, at)
        variables.pop("PULUMI_OPTION_CONFIG_FILE")
        done = subprocess.run(command, cwd=here, env=variables, capture_output=True, text=True)
        if done.returncode:
            raise StackError(
                f"`pulumi stack init` failed for {NAMES[project]}:\n{done.stdout}{done.stderr}"
            )
        found = "".join(_SECRETS.findall(stack_file.read_text()))
        if not found:
            raise StackError(
                f"`pulumi stack init` wrote no way of encryption for {NAMES[project]}."
            )
        return found
