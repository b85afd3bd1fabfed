"""The secrets of one environment on this machine: certificates, tokens, passwords.

Everything stands in one folder (0700) of files (0600) under the state directory. What is there and
still good is kept to the byte, so a second run changes nothing; what is missing, damaged, near its
end or made for other names is made anew. Files are replaced whole: a killed run leaves old or new,
never half.
"""

import base64
import contextlib
import datetime as dt
import ipaddress
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import bcrypt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra import contract, places, refusal
from infra.environment import Environment

REGISTRY_NAME = "registry.modelyard.internal"
# What the API server and Prometheus call metrics-server by.
METRICS_NAME = "metrics-server.monitoring.svc"
LOCAL = ["localhost", "127.0.0.1"]

CA_LIFE = dt.timedelta(days=3650)
# 397 days: what browsers and Go's and Apple's verifiers take at most from a server.
SERVER_LIFE = dt.timedelta(days=397)
RENEW_BEFORE = dt.timedelta(days=30)
# Clocks of nodes may be behind this machine's.
CLOCK_SKEW = dt.timedelta(minutes=5)
# The passwords have 256 random bits: the hash needs no stretching, and it is checked often.
BCRYPT_ROUNDS = 8


@dataclass(frozen=True)
class _Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure(env: Environment, *, now: dt.datetime | None = None) -> Path:
    """Make what is missing or no longer good; returns the folder. ``now`` is for tests.

    Raises Refusal when the passphrase is lost while a Pulumi state that needs it exists.
    """
    moment = now or dt.datetime.now(dt.UTC)
    folder = places.state(env.name) / "credentials"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    _passphrase(folder)
    authority = _authority(folder, env, moment)
    _server(folder, "gateway", _gateway_names(env), authority, moment)
    _server(folder, "metrics-server", [METRICS_NAME], authority, moment)
    _random(folder / "token")
    if env.cluster.substrate == "hosts":
        _registry(folder, env, authority, moment)
    _trust(folder)
    for path in folder.iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def _gateway_names(env: Environment) -> list[str]:
    if env.cluster.substrate == "hosts":
        return LOCAL
    return [str(urlsplit(contract.promised(env).gateway.url).hostname)]


def _registry(folder: Path, env: Environment, authority: _Pair, now: dt.datetime) -> None:
    """Certificate and accounts of the platform's own registry; other substrates have one."""
    addresses = [node.address for node in env.nodes()]
    _server(folder, "registry", [REGISTRY_NAME, *LOCAL, *addresses], authority, now)
    accounts = {name: _random(folder / f"registry-{name}") for name in ("push", "pull")}
    _htpasswd(folder / "htpasswd", accounts)
    _docker_config(folder / "docker-config.json", env, accounts)


def _passphrase(folder: Path) -> None:
    stacks = folder.parent / "pulumi" / ".pulumi" / "stacks"
    if not (folder / "passphrase").exists() and any(stacks.glob("**/*.json")):
        raise refusal.Refusal(
            str(folder / "passphrase"),
            None,
            f"the file is missing, and the secrets in {stacks} are encrypted with it",
            "Put the file back from a backup, or remove the environment with `yard down`.",
        )
    _random(folder / "passphrase")


def _random(path: Path) -> str:
    """256 random bits that can stand in a header, a URL or an environment variable."""
    if not path.exists() or not path.read_text():
        _write(path, secrets.token_urlsafe(32).encode())
    return path.read_text()


def _authority(folder: Path, env: Environment, now: dt.datetime) -> _Pair:
    """The environment's own CA. A new one makes every server certificate anew."""
    # It must outlive each certificate that it signs.
    pair = _read(folder / "ca")
    if pair and _in_time(pair.certificate, now, margin=SERVER_LIFE + RENEW_BEFORE):
        return pair
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "modelyard"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"modelyard {env.name} CA"),
        ]
    )
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _store(folder / "ca", _Pair(certificate, key))


def _server(folder: Path, name: str, names: list[str], ca: _Pair, now: dt.datetime) -> None:
    """A server certificate for exactly these DNS names and addresses, signed by ``ca``."""
    wanted = x509.SubjectAlternativeName([_general(value) for value in names])
    pair = _read(folder / name)
    if (
        pair
        and _in_time(pair.certificate, now, margin=RENEW_BEFORE)
        and _alternatives(pair.certificate) == wanted
        and _signed(pair.certificate, ca.certificate)
    ):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"modelyard {name}")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    certificate = (
        _builder(subject, ca.certificate.subject, key.public_key(), now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
        .add_extension(wanted, critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    _store(folder / name, _Pair(certificate, key))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    """What the key may do: a server signs handshakes, a CA signs certificates and lists."""
    return x509.KeyUsage(
        digital_signature=sign,
        key_cert_sign=not sign,
        crl_sign=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(value: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(value))
    return x509.DNSName(value)


def _alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _in_time(certificate: x509.Certificate, now: dt.datetime, *, margin: dt.timedelta) -> bool:
    return (
        certificate.not_valid_before_utc <= now and now + margin < certificate.not_valid_after_utc
    )


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _read(stem: Path) -> _Pair | None:
    """The stored pair, or None when it is missing, damaged or its halves do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(stem.with_suffix(".crt").read_bytes())
        key = serialization.load_pem_private_key(stem.with_suffix(".key").read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return _Pair(certificate, key) if key.public_key() == certificate.public_key() else None


def _store(stem: Path, pair: _Pair) -> _Pair:
    private = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(stem.with_suffix(".key"), private)
    _write(stem.with_suffix(".crt"), pair.certificate.public_bytes(serialization.Encoding.PEM))
    return pair


def _htpasswd(path: Path, accounts: dict[str, str]) -> None:
    """Registry accounts as bcrypt hashes. A hash has a random salt, so a good one is kept."""

    def good(line: str, name: str, password: str) -> bool:
        account, _, hashed = line.partition(":")
        return account == name and bcrypt.checkpw(password.encode(), hashed.encode())

    def make() -> bytes:
        salted = {
            name: bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()
            for name, password in accounts.items()
        }
        return "".join(f"{name}:{hashed}\n" for name, hashed in salted.items()).encode()

    def keep() -> bool:
        lines = path.read_text().splitlines()
        return len(lines) == len(accounts) and all(
            good(line, *account) for line, account in zip(lines, accounts.items(), strict=True)
        )

    _unless(path, keep, make)


def _unless(path: Path, keep: Callable[[], bool], make: Callable[[], bytes]) -> None:
    """Write what ``make`` gives unless ``keep`` finds the file good; bad syntax is not good."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        if keep():
            return
    _write(path, make())


def _docker_config(path: Path, env: Environment, accounts: dict[str, str]) -> None:
    """What skopeo reads: the push account for this machine's address, pull for the nodes'."""
    addresses = {f"127.0.0.1:{env.published.registry}": "push", REGISTRY_NAME: "pull"}
    auths = {
        address: {"auth": base64.b64encode(f"{name}:{accounts[name]}".encode()).decode()}
        for address, name in addresses.items()
    }
    content = json.dumps({"auths": auths}, indent=1).encode()
    _unless(path, lambda: path.read_bytes() == content, lambda: content)


def _trust(folder: Path) -> None:
    """A folder with the CA's certificate and no key: skopeo refuses one that holds foreign keys."""
    trust = folder / "trust"
    trust.mkdir(exist_ok=True, mode=0o700)
    content = (folder / "ca.crt").read_bytes()
    path = trust / "ca.crt"
    _unless(path, lambda: path.read_bytes() == content, lambda: content)


def _write(path: Path, content: bytes) -> None:
    # mkstemp makes the file 0600 from its first moment.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
