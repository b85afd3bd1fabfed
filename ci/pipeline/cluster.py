"""A connection to an environment's API server, and the questions that several steps ask it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException

from infra import kubeconfig
from infra.contract import Contract

PATIENCE_S = 10
"""Longest wait for one answer of the API server, which is on this machine or near it."""

AGAIN = urllib3.Retry(
    total=None, connect=0, read=0, redirect=0, other=0, status=10,
    status_forcelist=[429], allowed_methods=None, raise_on_status=False,
)  # fmt: skip
"""An API server that has just started answers 429, and says after how many seconds to ask again.
Nothing else is repeated: a person waits."""


class ClusterError(Exception):
    """The cluster does not answer, or answers with an error; the text says what to do."""


@contextmanager
def connect(contract: Contract) -> Iterator[client.ApiClient]:
    """Connect to the API server. Raises ClusterError for whatever goes wrong."""
    settings = client.Configuration()
    settings.retries = AGAIN
    # A proxy of the machine must not get between it and its own cluster.
    settings.proxy = None
    try:
        document = yaml.safe_load(contract.kubeconfig.read_text())
        with kubeconfig.connect(document, settings=settings) as connection:
            yield connection
    except (OSError, ConfigException) as error:
        raise ClusterError(
            f"{contract.kubeconfig} cannot be used: {error}."
            f" Run `yard up {contract.environment}`: it writes it anew."
        ) from error
    except (urllib3.exceptions.HTTPError, ApiException) as error:
        raise ClusterError(
            f"{contract.api} does not answer as it should: {error}."
            f" Run `yard up {contract.environment}`: it repairs what it can."
        ) from error


def items(connection: client.ApiClient, path: str, selector: str) -> list[dict[str, Any]]:
    """Objects of a collection as the API server writes them, by label selector.

    The client's own types would cost ten times the request for a list of hundreds.
    """
    request = connection.param_serialize(
        "GET",
        path,
        query_params=[("labelSelector", selector)],
        header_params={"Accept": "application/json"},
        auth_settings=["BearerToken"],
    )
    response: Any = connection.call_api(*request, _request_timeout=PATIENCE_S)
    response.read()
    answer: Any = connection.response_deserialize(response, {"200": "object"}).data
    return list(answer["items"])


def pods(contract: Contract, selector: str = "") -> list[Any]:
    """Pods of all namespaces, by label selector."""
    with connect(contract) as connection:
        found = client.CoreV1Api(connection).list_pod_for_all_namespaces(
            label_selector=selector, _request_timeout=PATIENCE_S
        )
        return list(found.items)


def image_digests(contract: Contract, label: str, value: str = "") -> dict[str, set[str]]:
    """Digests of the images that ready containers run, by the value of a label of their pods.

    As the runtime tells them; of all pods that have the label, or those with one value of it.
    """
    found: dict[str, set[str]] = {}
    with connect(contract) as connection:
        for pod in items(connection, "/api/v1/pods", f"{label}={value}" if value else label):
            digests = found.setdefault(pod["metadata"]["labels"][label], set())
            for container in pod["status"].get("containerStatuses") or []:
                if container["ready"]:
                    digests.add("sha256:" + container["imageID"].rsplit("sha256:", 1)[-1])
    return found
