"""An environment's credentials in its account: whichever machine deploys uses the same ones.

The foundation makes the places (infra/foundation/secret_store.py); contents never pass Pulumi.
"""

import json
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ci.aws import answers
from ci.pipeline import files
from infra.foundation.place import Place

KEPT = {
    "token": ("token",),
    "certificates": tuple(
        f"{name}.{half}" for name in ("ca", "gateway", "metrics-server") for half in ("crt", "key")
    ),
}
"""Files of the credentials folder by the secret that keeps them."""


def fetch(session: boto3.Session, here: Place, folder: Path) -> list[str]:
    """Write what the account keeps over what this machine has; returns the secrets it has."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = []
    for name, wanted in KEPT.items():
        found = _read(session.client("secretsmanager"), _called(here, name))
        if found is None:
            continue
        kept.append(name)
        for file in wanted:
            path = folder / file
            if not path.exists() or path.read_text() != found[file]:
                files.write(path, found[file], 0o600)
    return kept


def store(session: boto3.Session, here: Place, folder: Path) -> list[str]:
    """Give the account what it lacks or has otherwise; returns the secrets that changed."""
    client = session.client("secretsmanager")
    changed = []
    for name, wanted in KEPT.items():
        content = {file: (folder / file).read_text() for file in wanted}
        if _read(client, _called(here, name)) == content:
            continue
        client.put_secret_value(SecretId=_called(here, name), SecretString=json.dumps(content))
        changed.append(name)
    return changed


def _called(here: Place, name: str) -> str:
    return f"modelyard/{here.environment}/{name}"


def _read(client: Any, called: str) -> dict[str, str] | None:
    """None for a secret that is empty still, or not made yet."""
    try:
        text = client.get_secret_value(SecretId=called)["SecretString"]
    except ClientError as error:
        answers.only(error, "ResourceNotFoundException")
        return None
    found: dict[str, str] = json.loads(text)
    return found
