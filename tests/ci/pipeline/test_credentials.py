import base64
import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509

from ci.pipeline import credentials
from infra import environment
from infra.environment import Environment
from infra.refusal import Refusal

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FILES = {
    "ca.crt", "ca.key", "gateway.crt", "gateway.key", "registry.crt", "registry.key",
    "metrics-server.crt", "metrics-server.key", "token", "registry-push", "registry-pull",
    "htpasswd", "passphrase", "docker-config.json", "trust",
}  # fmt: skip


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return environment.load("local")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def names(folder: Path, name: str) -> set[str]:
    extension = certificate(folder, name).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return {str(entry.value) for entry in extension.value}


def test_the_folder_holds_exactly_the_files_that_others_were_promised(local: Environment) -> None:
    folder = credentials.ensure(local)

    assert {path.name for path in folder.iterdir()} == FILES


def test_an_account_has_a_registry_of_its_own_and_a_gateway_of_its_name(
    local: Environment,
) -> None:
    folder = credentials.ensure(environment.load("dev"))

    assert {path.name for path in folder.iterdir()} == {
        name for name in FILES if "registry" not in name
    } - {"htpasswd", "docker-config.json"}
    assert names(folder, "gateway") == {"models.dev.example.com"}


def test_nobody_else_on_the_machine_can_read_anything(local: Environment) -> None:
    folder = credentials.ensure(local)

    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o077 for path in folder.rglob("*")}
    assert set(modes.values()) == {0}


def test_rights_that_somebody_widened_are_narrowed_again(local: Environment) -> None:
    folder = credentials.ensure(local)
    folder.chmod(0o755)
    (folder / "token").chmod(0o644)

    credentials.ensure(local)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "token").stat().st_mode & 0o777 == 0o600


def test_a_second_run_changes_nothing(local: Environment) -> None:
    folder = credentials.ensure(local)
    before = snapshot(folder)

    credentials.ensure(local)

    assert snapshot(folder) == before


def test_two_environments_share_no_secret(local: Environment) -> None:
    one = credentials.ensure(local)
    other = credentials.ensure(environment.load("test"))

    for name in ("token", "passphrase", "registry-push", "registry-pull", "ca.key"):
        assert (one / name).read_bytes() != (other / name).read_bytes()


def test_the_registrys_certificate_names_every_node_and_this_machine(local: Environment) -> None:
    folder = credentials.ensure(local)

    nodes = {node.address for node in local.nodes()}
    assert names(folder, "registry") == {
        "registry.modelyard.internal", "localhost", "127.0.0.1", *nodes,
    }  # fmt: skip


def test_a_client_that_trusts_the_ca_accepts_the_gateway_by_name_and_address(
    local: Environment,
) -> None:
    folder = credentials.ensure(local)

    for host in ("localhost", "127.0.0.1"):
        assert handshake(folder, "gateway", host)


def test_a_client_refuses_the_gateways_certificate_for_another_name(local: Environment) -> None:
    folder = credentials.ensure(local)

    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, "gateway", "registry.modelyard.internal")


def handshake(folder: Path, name: str, host: str) -> bool:
    """A TLS handshake in memory, strict as Python 3.13's default."""
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname=host)
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[str] = set()
    for _ in range(5):
        for who, side in (("client", asks), ("server", answers)):
            try:
                side.do_handshake()
                done.add(who)
            except ssl.SSLWantReadError:
                continue
    return done == {"client", "server"}


@pytest.mark.parametrize("name", ["gateway", "registry", "metrics-server"])
def test_a_certificate_near_its_end_is_renewed_by_the_same_ca(
    local: Environment, name: str
) -> None:
    folder = credentials.ensure(local, now=NOW)
    ca, old = certificate(folder, "ca"), certificate(folder, name)

    credentials.ensure(local, now=NOW + credentials.SERVER_LIFE - dt.timedelta(days=29))

    assert certificate(folder, "ca") == ca
    assert certificate(folder, name).not_valid_after_utc > old.not_valid_after_utc


def test_a_certificate_far_from_its_end_is_kept(local: Environment) -> None:
    folder = credentials.ensure(local, now=NOW)
    before = snapshot(folder)

    credentials.ensure(local, now=NOW + credentials.SERVER_LIFE - dt.timedelta(days=31))

    assert snapshot(folder) == before


def test_a_ca_that_could_not_outlive_a_new_certificate_is_renewed_with_all_it_signed(
    local: Environment,
) -> None:
    folder = credentials.ensure(local, now=NOW)
    ca = certificate(folder, "ca")

    later = NOW + credentials.CA_LIFE - credentials.SERVER_LIFE
    credentials.ensure(local, now=later)

    assert certificate(folder, "ca") != ca
    assert (folder / "trust" / "ca.crt").read_bytes() == (folder / "ca.crt").read_bytes()
    for name in ("gateway", "registry"):
        certificate(folder, name).verify_directly_issued_by(certificate(folder, "ca"))


def test_other_node_addresses_make_only_the_registrys_certificate_anew(local: Environment) -> None:
    folder = credentials.ensure(local)
    before = snapshot(folder)
    network = local.network.model_copy(update={"hosts": "172.29.0.0/24"})
    moved = local.model_copy(update={"network": network})

    credentials.ensure(moved)

    after = snapshot(folder)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"registry.crt", "registry.key"}
    assert {ipaddress.ip_address(node.address) for node in moved.nodes()} <= {
        ipaddress.ip_address(name) for name in names(folder, "registry") if name[0].isdigit()
    }


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def swap(path: Path) -> None:
    path.write_bytes((path.parent / "ca.key").read_bytes())


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("gateway.crt", cut),
        ("gateway.key", cut),
        ("gateway.key", swap),
        ("registry.key", remove),
        ("ca.crt", cut),
        ("htpasswd", cut),
        ("htpasswd", remove),
        ("docker-config.json", cut),
        ("token", remove),
        ("trust/ca.crt", cut),
    ],
)
def test_a_damaged_file_is_made_anew_and_the_folder_is_sound_again(
    local: Environment, name: str, damage: Callable[[Path], None]
) -> None:
    folder = credentials.ensure(local)
    damage(folder / name)

    credentials.ensure(local)

    assert handshake(folder, "gateway", "localhost")
    assert handshake(folder, "registry", "registry.modelyard.internal")
    assert accepts(folder, "push")
    assert accepts(folder, "pull")
    assert (folder / "trust" / "ca.crt").read_bytes() == (folder / "ca.crt").read_bytes()
    assert len((folder / "token").read_text()) == 43


def accepts(folder: Path, account: str) -> bool:
    """Whether the htpasswd file lets the account in with the password of its file."""
    hashes = dict(line.split(":") for line in (folder / "htpasswd").read_text().splitlines())
    password = (folder / f"registry-{account}").read_bytes()
    return bcrypt.checkpw(password, hashes[account].encode())


def test_accounts_get_in_with_their_own_password_only(local: Environment) -> None:
    folder = credentials.ensure(local)

    assert accepts(folder, "push")
    (folder / "registry-push").write_bytes((folder / "registry-pull").read_bytes())
    assert not accepts(folder, "push")


def test_a_changed_password_changes_its_hash_and_what_skopeo_reads(local: Environment) -> None:
    folder = credentials.ensure(local)
    (folder / "registry-push").write_text("another")

    credentials.ensure(local)

    assert accepts(folder, "push")
    auths = json.loads((folder / "docker-config.json").read_text())["auths"]
    assert base64.b64decode(auths["127.0.0.1:5443"]["auth"]) == b"push:another"
    pull = (folder / "registry-pull").read_text()
    assert base64.b64decode(auths["registry.modelyard.internal"]["auth"]).decode() == f"pull:{pull}"


def test_a_lost_passphrase_is_refused_while_a_state_needs_it(local: Environment) -> None:
    folder = credentials.ensure(local)
    stack = folder.parent / "pulumi/.pulumi/stacks/modelyard/local.json"
    stack.parent.mkdir(parents=True)
    stack.write_text("{}")
    (folder / "passphrase").unlink()

    with pytest.raises(Refusal, match=r"encrypted with it.*backup"):
        credentials.ensure(local)
    assert not (folder / "passphrase").exists()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    local: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = credentials.ensure(local)
    before = snapshot(folder)

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        credentials.ensure(local, now=NOW + dt.timedelta(days=3650))
    assert snapshot(folder) == before
