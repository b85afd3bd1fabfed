"""Clients by kubeconfig, against a server that wants a certificate of them."""

import base64
import datetime as dt
import http.server
import ipaddress
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes.config import ConfigException

from infra import kubeconfig


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"asked with a certificate")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key in one file: authority and both ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "pair.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def document(pair: Path) -> Iterator[dict[str, Any]]:
    """A kubeconfig with everything inline, for a server that is up."""
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pair))
    trust.verify_mode = ssl.CERT_REQUIRED
    trust.load_cert_chain(pair)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held = base64.b64encode(pair.read_bytes()).decode()
    yield {
        "clusters": [
            {
                "name": "one",
                "cluster": {
                    "server": f"https://127.0.0.1:{server.server_address[1]}",
                    "certificate-authority-data": held,
                },
            }
        ],
        "users": [
            {"name": "ada", "user": {"client-certificate-data": held, "client-key-data": held}}
        ],
        "contexts": [{"name": "it", "context": {"cluster": "one", "user": "ada"}}],
        "current-context": "it",
    }
    server.shutdown()
    server.server_close()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_connected_client_has_left_no_key_in_the_temporary_folder(
    document: dict[str, Any], temporary: Path
) -> None:
    with kubeconfig.connect(document) as client:
        assert not list(temporary.iterdir())
        pool = client.rest_client.pool_manager
        answer = pool.request("GET", client.configuration.host, retries=False)

    assert answer.data == b"asked with a certificate"
    assert not list(temporary.iterdir())


def test_a_client_believes_no_other_authority(document: dict[str, Any]) -> None:
    del document["clusters"][0]["cluster"]["certificate-authority-data"]

    with kubeconfig.connect(document) as client, pytest.raises(Exception, match="VERIFY_FAILED"):
        client.rest_client.pool_manager.request("GET", client.configuration.host, retries=False)


def test_a_kubeconfig_may_waive_the_servers_certificate(document: dict[str, Any]) -> None:
    cluster = document["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["insecure-skip-tls-verify"] = True

    with kubeconfig.connect(document) as client:
        pool = client.rest_client.pool_manager
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            answer = pool.request("GET", client.configuration.host, retries=False)

    assert answer.status == 200


@pytest.mark.parametrize("held", ["A", base64.b64encode(b"no certificate").decode()])
def test_a_damaged_certificate_is_an_error_of_the_kubeconfig(
    document: dict[str, Any], held: str
) -> None:
    document["users"][0]["user"]["client-certificate-data"] = held

    with pytest.raises(ConfigException, match=r"base64|damaged"):
        kubeconfig.connect(document)
