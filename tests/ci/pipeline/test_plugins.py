"""Which plugins serve an environment, and that the vendors' come only with a digest."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from ci.pipeline import plugins
from ci.toolchain import vendor
from infra import environment
from infra.environment import Environment
from infra.refusal import Refusal
from tests.ci.toolchain.test_vendor import BINARY, PAGES, archive, site

__all__ = ["site"]


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return environment.load("dev")


def vendors(monkeypatch: pytest.MonkeyPatch, address: str, *, pinned: bool) -> None:
    """A vendor on this machine that has both plugins."""
    downloads = {}
    for name in ("kubernetes", "aws"):
        program = f"pulumi-resource-{name}"
        content = archive(program)
        monkeypatch.setitem(PAGES, f"/{program}", content)
        digest = hashlib.sha256(content).hexdigest() if pinned else ""
        files = {f"bin/{program}": program}
        downloads[name] = [vendor.Download(url=f"{address}/{program}", sha256=digest, files=files)]
    found = vendor.Vendors(probe=address, family={}, plugin=downloads)
    monkeypatch.setattr(vendor, "load", lambda: found)


def test_hosts_are_served_by_our_stand_ins_and_accounts_by_the_vendors(dev: Environment) -> None:
    kinds = {name: plugins.kind(environment.load(name)) for name in environment.names()}

    assert kinds["local"] == kinds["test"] == "stand-in"
    assert {kinds[name] for name in ("dev", "staging", "prod")} == {"vendor"}


def test_stand_ins_deploy_to_no_account_and_the_refusal_says_what_to_do(dev: Environment) -> None:
    with pytest.raises(Refusal) as refused:
        plugins.require(dev)

    assert refused.value.value == "kubernetes, aws"
    assert "stand-ins for Pulumi plugins never serve an account" in refused.value.rule
    assert "yard toolchain pin" in refused.value.remedy
    assert "yard preview dev --offline" in refused.value.remedy


def test_pinned_plugins_of_the_vendors_stand_where_the_engine_looks(
    dev: Environment, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors(monkeypatch, site, pinned=True)
    home = tmp_path / "home"

    plugins.require(dev)
    plugins.install(dev, home)
    plugins.install(dev, home)

    for name in ("kubernetes", "aws"):
        folder = home / "plugins" / f"resource-{name}-v{vendor.version(name)}"
        assert (folder / f"pulumi-resource-{name}").read_bytes() == BINARY
        assert subprocess.run([folder / f"pulumi-resource-{name}"]).returncode == 0


def test_pinning_covers_plugins(
    dev: Environment, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vendor.toml"
    path.write_text(
        f'probe = "{site}"\n[family]\n[[plugin.aws]]\nurl = "{site}/tool-{{version}}"\n'
        'sha256 = ""\nfiles = {}\n'
    )
    monkeypatch.setitem(PAGES, f"/tool-{vendor.version('aws')}", BINARY)

    vendor.pin(path)

    (found,) = vendor.load(path).plugin["aws"]
    assert found.sha256 == hashlib.sha256(BINARY).hexdigest()


def test_pinning_asks_the_registry_for_the_digest_of_an_image(
    dev: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "sha256:" + "7" * 64
    program = tmp_path / "skopeo"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho {digest}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    path = tmp_path / "vendor.toml"
    path.write_text(
        'probe = ""\n[family]\n# stays\n[image.one]\nreference = "vendor.invalid/one:v1"\n'
        'digest = ""\nsource = "a test"\ndate = "2026-01-01"\n'
    )

    assert vendor.pin(path) == ["vendor.invalid/one:v1"]
    assert vendor.load(path).image["one"].digest == digest
    assert "# stays" in path.read_text()
    assert (tmp_path / "asked").read_text().endswith("docker://vendor.invalid/one:v1\n")
    assert vendor.pin(path) == []


def test_an_image_that_cannot_be_looked_up_is_named_and_nothing_is_written(
    dev: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "skopeo"
    program.write_text("#!/bin/sh\necho no such host >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(vendor.VendorError, match=r"vendor.invalid/one:v1 .*no such host"):
        vendor.look_up("vendor.invalid/one:v1")


def test_a_state_of_stand_ins_is_not_gone_on_with_by_others(dev: Environment) -> None:
    hosts = environment.load("local")
    plugins.agree(hosts)
    plugins.agree(hosts)

    with pytest.raises(Refusal, match=r"written with that plugin.*vendor.*yard down local"):
        plugins.agree(hosts.model_copy(update={"production": True}))
