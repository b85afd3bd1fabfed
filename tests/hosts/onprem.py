"""Containers that stand for machines of `onprem`, with a state folder of the test's own."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

from ci.pipeline import credentials, engine, hosts
from ci.report import silent
from ci.toolchain import debian
from infra import environment, places
from infra.environment import Environment
from tests.ansible import command
from tests.ansible.command import ANSIBLE
from tests.infra.plugins import apiserver


def container(name: str) -> str:
    """Name of a machine's container."""
    return f"modelyard-onprem-{name}"


def host(name: str) -> Host:
    """A machine as testinfra sees it."""
    return testinfra.get_host(f"docker://{container(name)}")


def play(
    folder: Path, playbook: Path | str, *arguments: str, inventory: str = "onprem"
) -> "subprocess.CompletedProcess[str]":
    """Run a playbook, by its name one of the repository, as a person would."""
    path = ANSIBLE / "playbooks" / f"{playbook}.yml" if isinstance(playbook, str) else playbook
    return command.run(
        *("playbook", "--inventory", folder / "inventories" / inventory, *arguments, path),
        XDG_STATE_HOME=folder / "state",
        COLUMNS="1000",
    )


@contextmanager
def machines(
    folder: Path, hosts_of: Mapping[str, Any], facts: Mapping[str, Any], inventory: str = "onprem"
) -> Iterator[Environment]:
    """Bare machines, taken away at the end.

    ``hosts_of`` is the inventory, ``facts`` what `yard up` would write down for the roles that are
    played, beside what containers are made of.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        env = environment.load("onprem")
        engine.ensure(silent)
        hosts.down(env, silent)
        credentials.ensure(env)
        state = places.state(env.name)
        base = debian.base_entry("node", hosts.NODE_PACKAGES, silent)
        key = base.path.name.removeprefix("debian-node-")
        own = {
            "node_base": {"tar": str(base.file(debian.TAR)), "key": key},
            "registry_ca": str(state / "credentials" / "ca.crt"),
        }
        (state / "hosts").mkdir(parents=True)
        (state / "hosts" / "facts.json").write_text(json.dumps({**own, **facts}))
        target = folder / "inventories" / inventory
        target.mkdir(parents=True)
        (target / "hosts.yml").write_text(yaml.safe_dump(dict(hosts_of)))
        try:
            done = play(folder, "containers", inventory=inventory)
            assert done.returncode == 0, done.stdout + done.stderr
            yield env
        finally:
            hosts.down(env, silent)
            engine.stop_if_ours()


def control_plane(env: Environment, kubeconfig: Path) -> None:
    """A container with kubectl and an API server's kubeconfig, on this machine's loopback.

    It stands for control-1, is made like a machine that is there, and goes with the machines.
    """
    label = f"{engine.LABEL}={env.name}"
    sample = _docker("ps", "--quiet", "--latest", "--filter", f"label={label}").strip()
    kubectl = apiserver.binary("kubernetes", "kubectl")
    _docker(
        *("run", "--detach", "--name", container("control-1"), "--label", label),
        *("--network", "host", "--entrypoint", "sleep"),
        *("--volume", f"{kubectl}:/usr/local/bin/kubectl:ro"),
        *("--volume", f"{kubeconfig}:/etc/kubernetes/admin.conf:ro"),
        *(_docker("inspect", "--format", "{{.Config.Image}}", sample).strip(), "infinity"),
    )


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
