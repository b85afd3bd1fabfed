"""Pulumi's plugins of an environment: our stand-ins on hosts, the vendors' own in accounts.

A stand-in deploys to no account and serves no production environment; see infra/plugins/README.md.
"""

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Literal

from ci.pipeline import files
from ci.report import Report, silent
from ci.toolchain import vendor
from infra import places, refusal
from infra.environment import Environment

Kind = Literal["stand-in", "vendor"]
# Linux cuts a longer #! line off.
SHEBANG_MAX = 120


def kind(env: Environment) -> Kind:
    """Who made the plugins that serve an environment."""
    return "vendor" if env.aws or env.production else "stand-in"


def require(env: Environment) -> None:
    """Refuse, before anything is asked or downloaded, where the vendors' plugins cannot be had."""
    if kind(env) == "stand-in":
        return
    unpinned = vendor.load().unpinned_plugins()
    if unpinned:
        what = "an account" if env.aws else "a production environment"
        raise refusal.Refusal(
            f"{vendor.FILE}: plugin: sha256",
            ", ".join(unpinned),
            f"our stand-ins for Pulumi plugins never serve {what}, and the vendors' own have no "
            "pinned digest here",
            "On an open network run `yard toolchain pin`, compare the digests with those that the "
            f"vendor publishes, and commit them. `yard preview {env.name} --offline` needs none.",
        )


def agree(env: Environment) -> None:
    """Refuse a state that another kind of plugin wrote: both keep their own books."""
    record = places.state(env.name) / "pulumi" / "plugins.json"
    wanted = {"kubernetes": kind(env)}
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(record, json.dumps(wanted) + "\n", 0o600)
        return
    if found != wanted:
        raise refusal.Refusal(
            str(record),
            found.get("kubernetes"),
            f"the state was written with that plugin, and this machine would use: {kind(env)}",
            f"Use the same supply as before, or begin anew: `yard down {env.name}`, then "
            f"`yard up {env.name}`.",
        )


def install(env: Environment, home: Path, report: Report = silent) -> None:
    """Put the environment's plugins where the engine finds installed ones."""
    if kind(env) == "stand-in":
        stand_in(home)
        return
    downloads = vendor.load().plugin
    for name in ("kubernetes", "aws") if env.aws else ("kubernetes",):
        entry = vendor.ensure(f"plugin-{name}", vendor.version(name), downloads[name], report)
        program = f"pulumi-resource-{name}"
        files.link(entry.file(f"bin/{program}"), _folder(home, name) / program)


def stand_in(home: Path) -> None:
    """The Kubernetes stand-in as an installed plugin: nothing warns of a plugin on PATH then."""
    _launch(home, "kubernetes", "from infra.plugins.kubernetes.server import main\nmain()\n")


def offline_aws(home: Path) -> None:
    """The AWS plugin that calls nothing, in the place of the real one: for previews only."""
    _launch(home, "aws", "from infra.plugins.aws.server import main\nmain()\n")


def _launch(home: Path, name: str, body: str) -> None:
    launcher(_folder(home, name) / f"pulumi-resource-{name}", body)


def _folder(home: Path, name: str) -> Path:
    folder = home / "plugins" / f"resource-{name}-v{metadata.version(f'pulumi-{name}')}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def launcher(path: Path, body: str) -> None:
    """A Python program of this checkout's environment, found wherever it is started from."""
    interpreter = sys.executable
    first = f"#!{interpreter}\n"
    if len(first) > SHEBANG_MAX or " " in interpreter:
        # The line that shell and Python both read: Linux takes no such interpreter in a #! line.
        first = f"#!/bin/sh\n'''exec' '{interpreter}' \"$0\" \"$@\"\n' '''\n"
    text = f"{first}import sys\nsys.path.insert(0, {str(places.REPOSITORY)!r})\n{body}"
    if not path.exists() or path.read_text() != text:
        files.write(path, text, 0o700)
