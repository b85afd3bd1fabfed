"""Clients of an API server whose certificates and keys stay in memory.

The client library writes what a kubeconfig holds inline to files of the temporary folder, and
removes them when its process ends by itself: a provider that its engine ends would leave an
administrator's key there.
"""

import base64
import binascii
import copy
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config

INLINE = "-data"
OF_FILES = ("certificate-authority", "client-certificate", "client-key")


def connect(
    document: dict[str, Any],
    *,
    context: str | None = None,
    settings: client.Configuration | None = None,
) -> client.ApiClient:
    """A client by a kubeconfig's document, its current context or the one that is named.

    Raises the library's ConfigException for a document that is no kubeconfig.
    """
    settings = settings or client.Configuration()
    with _in_files(document) as unpacked:
        load: Any = config.load_kube_config_from_dict
        load(unpacked, context=context, client_configuration=settings)
        trust = _trust(settings)
    made = client.ApiClient(settings)
    if trust:
        pool = made.rest_client.pool_manager.connection_pool_kw
        for name in ("ca_certs", "cert_file", "key_file"):
            pool.pop(name, None)
        pool["ssl_context"] = trust
    return made


def _trust(settings: client.Configuration) -> ssl.SSLContext | None:
    if not settings.host.startswith("https:"):
        return None
    try:
        trust = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        if not settings.verify_ssl:
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        if settings.cert_file:
            trust.load_cert_chain(settings.cert_file, settings.key_file)
    except ssl.SSLError as error:
        raise config.ConfigException(f"a certificate or key in it is damaged: {error}") from None
    return trust


@contextmanager
def _in_files(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with what it holds inline in files, which are there during the block."""
    document = copy.deepcopy(document)
    with tempfile.TemporaryDirectory(prefix="modelyard-kubeconfig-") as folder:
        for kind in ("cluster", "user"):
            for number, entry in enumerate(document.get(f"{kind}s") or []):
                for name in OF_FILES:
                    if held := (entry.get(kind) or {}).pop(name + INLINE, None):
                        path = Path(folder, f"{kind}-{number}-{name}")
                        path.write_bytes(_decoded(name, held))
                        entry[kind][name] = str(path)
        yield document


def _decoded(name: str, held: str) -> bytes:
    try:
        return base64.b64decode(held)
    except binascii.Error as error:
        raise config.ConfigException(f"{name}{INLINE} is not base64: {error}") from None
