"""Where Pulumi works for one environment: its commands, plugins, backend, stacks and salt.

All of it stands under the environment's state folder, so that the checkout stays clean; whatever is
right already is left alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Literal

import yaml

from ci.pipeline import credentials
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
STAND_IN = "stand-in"

_SALT = re.compile(r"^encryptionsalt: *(\S+) *\n?", re.MULTILINE)
# Linux cuts a longer #! line off.
SHEBANG_MAX = 120


def projects(env: Environment) -> tuple[Project, ...]:
    """The projects of an environment, each built on those before it."""
    return ("foundation", "platform", "models") if env.aws else ("platform", "models")


def state(env: Environment) -> Path:
    """The environment's state folder."""
    return places.state(env.name)


def environment(env: Environment) -> dict[str, str]:
    """All variables that plain `pulumi` needs in the repository, and kubectl with it."""
    folder = state(env)
    variables = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{_path_without(folder / 'bin')}",
        "PULUMI_HOME": str(folder / "pulumi-home"),
        "PULUMI_BACKEND_URL": backend(folder / "pulumi"),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "credentials" / "passphrase"),
        "PULUMI_OPTION_CONFIG_FILE": str(_stack_file(env)),
        "PULUMI_STACK": env.name,
        # Neither asks a site that a closed network has not.
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "KUBECONFIG": str(folder / "kubeconfig"),
    }
    return variables | guarded() | _without_proxy()


def guarded() -> dict[str, str]:
    """What makes every preview and `up` run the policy pack, plain `pulumi` ones too."""
    # Flags from the environment are lists with commas, quoted as CSV has it.
    return {"PULUMI_OPTION_POLICY_PACK": f'"{places.REPOSITORY / "infra" / "policy"}"'}


def backend(folder: Path) -> str:
    """Address of a backend in a folder.

    Without the files of attributes that the backend would write beside each of its own: they are
    not replaced in one step, and a killed `up` left an empty one that no command could read.
    """
    return f"file://{folder}?metadata=skip"


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


def prepare(env: Environment) -> None:
    """Make commands, plugins, backend, stacks and the stack file; does nothing where all is there.

    Raises Refusal where another kind of plugin wrote the state, or stand-ins may not serve.
    """
    folder = state(env)
    _agree_on_plugin(env)
    credentials.ensure(env)
    for name in ("bin", "pulumi", "pulumi-home"):
        (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (folder / "pulumi").rglob("*.attrs"):
        path.unlink(missing_ok=True)  # of a backend that was written before; see backend()
    commands(folder / "bin", supply.resolve(env))
    without_debug_log(folder / "pulumi-home")
    provider(folder / "pulumi-home")
    for project in projects(env):
        stack(env, project)


def state_file(env: Environment, project: Project) -> Path:
    """The file in which the backend keeps a stack."""
    return state(env) / "pulumi" / ".pulumi" / "stacks" / NAMES[project] / f"{env.name}.json"


def _agree_on_plugin(env: Environment) -> None:
    """State remembers which plugin wrote it: the vendor's and ours keep different bookkeeping."""
    if env.production:
        raise refusal.Refusal(
            f"Pulumi.{env.name}.yaml: production",
            True,
            "stand-ins for Pulumi plugins never serve a production environment",
            "Set production to false: using the vendor's plugins is not built yet.",
        )
    record = state(env) / "pulumi" / "plugins.json"
    wanted = {"kubernetes": STAND_IN}
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(record, json.dumps(wanted) + "\n", 0o600)
        return
    if found != wanted:
        raise refusal.Refusal(
            str(record),
            found.get("kubernetes"),
            f"the state was written with that plugin, and this machine would use the {STAND_IN}",
            f"Use the same supply as before, or begin anew: `yard down {env.name}`, then "
            f"`yard up {env.name}`.",
        )


def commands(folder: Path, source: supply.Supply = "closed") -> None:
    """Fill bin/: the engine, its language host beside it, kubectl."""
    engine(folder, source)
    _link(_tool("kubernetes", "kubectl", source), folder / "kubectl")


def engine(folder: Path, source: supply.Supply = "closed") -> None:
    """Put the engine and its language host into a folder, side by side."""
    _link(_tool("pulumi", "pulumi", source), folder / "pulumi")
    executor = folder / "pulumi-language-python-exec"
    _link(modulefiles.ensure("pulumi-language-python-exec"), executor)
    launcher(
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
        _write(logs, f"No folder, so that the engine keeps no debug log: {__name__}\n", 0o600)


def provider(home: Path) -> None:
    """Put the stand-in where an installed plugin stands: nothing warns of a plugin on PATH then."""
    version = metadata.version("pulumi-kubernetes")
    folder = home / "plugins" / f"resource-kubernetes-v{version}"
    folder.mkdir(parents=True, exist_ok=True)
    launcher(
        folder / "pulumi-resource-kubernetes",
        "from infra.plugins.kubernetes.server import main\nmain()\n",
    )


def offline_aws(home: Path) -> None:
    """Put the AWS plugin that calls nothing where the real one would stand: for previews only."""
    folder = home / "plugins" / f"resource-aws-v{metadata.version('pulumi-aws')}"
    folder.mkdir(parents=True, exist_ok=True)
    launcher(folder / "pulumi-resource-aws", "from infra.plugins.aws.server import main\nmain()\n")


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


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it across file systems; the engine looks for what is beside it."""
    if target.exists() and (target.samefile(source) or _alike(source, target)):
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError:
        shutil.copy2(source, partial)
    partial.replace(target)


def _alike(one: Path, other: Path) -> bool:
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def launcher(path: Path, body: str) -> None:
    """A Python program of this checkout's environment, found wherever it is started from."""
    interpreter = sys.executable
    first = f"#!{interpreter}\n"
    if len(first) > SHEBANG_MAX or " " in interpreter:
        # The line that shell and Python both read: Linux takes no such interpreter in a #! line.
        first = f"#!/bin/sh\n'''exec' '{interpreter}' \"$0\" \"$@\"\n' '''\n"
    text = f"{first}import sys\nsys.path.insert(0, {str(places.REPOSITORY)!r})\n{body}"
    if not path.exists() or path.read_text() != text:
        _write(path, text, 0o700)


def stack(env: Environment, project: Project) -> None:
    """Make a stack unless there is one, and bring the copy of its stack file up to date."""
    salt = _salt(env)
    if not state_file(env, project).exists():
        salt = _init(env, project, salt)
    checkout = (places.REPOSITORY / f"Pulumi.{env.name}.yaml").read_text()
    text = f"{_SALT.sub('', checkout).rstrip()}\nencryptionsalt: {salt}\n"
    path = _stack_file(env)
    if not path.exists() or path.read_text() != text:
        _write(path, text, 0o600)


def _stack_file(env: Environment) -> Path:
    return state(env) / f"Pulumi.{env.name}.yaml"


def _salt(env: Environment) -> str | None:
    """The salt of the environment's secrets: from the stack file, else from a stack's own state."""
    path = _stack_file(env)
    if path.exists() and (found := _SALT.search(path.read_text())):
        return found[1]
    for project in FOLDERS:
        if state_file(env, project).exists():
            document = json.loads(state_file(env, project).read_text())
            latest = document.get("checkpoint", {}).get("latest") or {}
            kept = latest.get("secrets_providers", {}).get("state", {}).get("salt")
            if isinstance(kept, str):
                return kept
    return None


def _init(env: Environment, project: Project, salt: str | None) -> str:
    """`pulumi stack init`, in a scratch folder: it writes into the folder of the project file."""
    with tempfile.TemporaryDirectory(prefix="modelyard-stack-") as scratch:
        here = Path(scratch)
        # Name and runtime only: `main` would have to exist here.
        document = yaml.safe_load((FOLDERS[project] / "Pulumi.yaml").read_text())
        short = {key: document[key] for key in ("name", "runtime")}
        (here / "Pulumi.yaml").write_text(yaml.safe_dump(short))
        stack_file = here / f"Pulumi.{env.name}.yaml"
        if salt:
            stack_file.write_text(f"encryptionsalt: {salt}\n")
        command = [str(state(env) / "bin" / "pulumi"), "stack", "init", env.name]
        command += ["--non-interactive", "--color", "never"]
        variables = os.environ | environment(env)
        variables.pop("PULUMI_OPTION_CONFIG_FILE")
        done = subprocess.run(command, cwd=here, env=variables, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f"`pulumi stack init` failed for {NAMES[project]}:\n{done.stdout}{done.stderr}"
            )
        found = _SALT.search(stack_file.read_text())
        if not found:
            raise RuntimeError(f"`pulumi stack init` wrote no salt for {NAMES[project]}.")
        return found[1]


def _write(path: Path, text: str, mode: int) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)
