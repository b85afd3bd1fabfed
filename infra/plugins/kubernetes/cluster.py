"""One cluster, as the stand-in talks to it: kubeconfig, discovery, requests.

Nothing is asked of the cluster before it is needed, so that a preview works before there is one.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
import yaml
from kubernetes.client import ApiClient
from kubernetes.config import ConfigException

from infra import kubeconfig
from infra.plugins.kubernetes.errors import ApiError, ClusterError, NoSuchKind, Unreachable

CONNECT_SECONDS = 5
# Longer than the API server's own limit of 60 seconds for a request.
READ_SECONDS = 65
ATTEMPTS = 6
CONNECTIONS = 100

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a provider resource is configured with; None means the ordinary default."""

    kubeconfig: str | None = None
    """Path or content; by default $KUBECONFIG, then ~/.kube/config."""
    context: str | None = None
    cluster: str | None = None
    namespace: str | None = None


@dataclass(frozen=True)
class Kind:
    """A kind as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The path of an object, or of the collection when ``name`` is None."""
        root = (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace and self.namespaced else ""
        item = f"/{quote(name, safe='')}" if name is not None else ""
        return f"{root}{scope}/{self.plural}{item}"


class Cluster:
    """Requests to one API server; safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._client: ApiClient | None = None
        self._kinds: dict[str, dict[str, Kind]] = {}

    def namespace(self) -> str:
        """The namespace of objects that name none."""
        if self.settings.namespace:
            return self.settings.namespace
        try:
            document = self._document()
        except Unreachable:
            return "default"
        wanted = self.settings.context or document.get("current-context")
        for entry in document.get("contexts") or []:
            if entry.get("name") == wanted:
                return str((entry.get("context") or {}).get("namespace") or "default")
        return "default"

    def kind(self, api_version: str, kind: str, *, fresh: bool = False) -> Kind:
        """Look a kind up; raises NoSuchKind where the API server does not serve it.

        An unknown kind is asked for anew each time: its definition may have been made a moment ago.
        """
        with self._lock:
            known = self._kinds.get(api_version, {})
        if kind not in known or fresh:
            known = self._discover(api_version, kind)
            with self._lock:
                self._kinds[api_version] = known
        if kind not in known:
            raise NoSuchKind(f"The API server has no kind {kind} in {api_version}.")
        return known[kind]

    def _discover(self, api_version: str, kind: str) -> dict[str, Kind]:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            listed = self.request("GET", root)
        except ApiError as error:
            if error.status != 404:
                raise
            raise NoSuchKind(
                f"The API server has no API {api_version}, so no {kind}. If a custom resource "
                "definition makes it, let this resource depend on that one (depends_on)."
            ) from None
        return {
            entry["kind"]: Kind(api_version, entry["kind"], entry["name"], entry["namespaced"])
            for entry in listed.get("resources", [])
            if "/" not in entry["name"]
        }

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """Read an object; None when it does not exist."""
        try:
            return self.request("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(
        self,
        kind: Kind,
        namespace: str | None,
        selector: Mapping[str, str] | None = None,
        **query: str,
    ) -> list[Object]:
        """List objects; ``selector``: labels that must be equal, ``query``: more parameters."""
        if selector:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in selector.items())
        found = self.request("GET", kind.path(namespace), query=query)
        return list(found.get("items", []))

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Ask the API server; what is transient is tried again for some seconds.

        Every request that the stand-in makes may be repeated: reads, applies, deletes.
        Raises Unreachable, or ApiError for any answer but success.
        """
        delay = 0.25
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, path, query or {}, body, content_type)
            except ApiError as error:
                if not error.transient or attempt == ATTEMPTS:
                    raise
                delay = max(delay, min(error.retry_after, 10))
            except Unreachable:
                # Twice, not more: a person waits, and a server that is down stays so.
                if attempt >= 2:
                    raise
            time.sleep(delay)
            delay *= 2
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None,
        content_type: str,
    ) -> Object:
        client = self._connected()
        headers: dict[str, str] = {
            "Accept": "application/json",
            "User-Agent": "modelyard-kubernetes-stand-in",
        }
        client.update_params_for_auth(headers, [], ["BearerToken"], None, None, None)
        if body is not None:
            headers["Content-Type"] = content_type
        url = client.configuration.host.rstrip("/") + path
        if query:
            url += "?" + urlencode(query)
        try:
            answer = client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(
                f"The API server {client.configuration.host} does not answer: {error}. "
                f"Check that the cluster runs and that {self._source()} names it."
            ) from error
        return _answer(answer, client.configuration.host, self._source())

    def _connected(self) -> ApiClient:
        with self._lock:
            if self._client is None:
                document = self._document()
                try:
                    client = kubeconfig.connect(document, context=self.settings.context)
                except ConfigException as error:
                    raise ClusterError(
                        f"{self._source()} cannot be used: {error}. Correct the kubeconfig."
                    ) from None
                pool = client.rest_client.pool_manager
                pool.connection_pool_kw["maxsize"] = CONNECTIONS
                self._client = client
            return self._client

    def _document(self) -> dict[str, Any]:
        """The kubeconfig; raises Unreachable when its file is not there (yet)."""
        given = self.settings.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        text = given
        if not _is_content(given):
            path = Path(given).expanduser()
            try:
                text = path.read_text()
            except FileNotFoundError:
                raise Unreachable(
                    f"There is no cluster yet: the kubeconfig {path} does not exist."
                ) from None
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ClusterError(f"{self._source()} is not YAML: {error}") from None
        if not isinstance(document, dict):
            raise ClusterError(f"{self._source()} holds no kubeconfig.")
        return self._with_cluster(document)

    def _with_cluster(self, document: dict[str, Any]) -> dict[str, Any]:
        """Let the setting `cluster` override the one that the context names."""
        if self.settings.cluster:
            for entry in document.get("contexts") or []:
                entry["context"]["cluster"] = self.settings.cluster
        return document

    def _source(self) -> str:
        given = self.settings.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        return "the provider's kubeconfig" if _is_content(given) else f"the kubeconfig {given}"


def _is_content(given: str) -> bool:
    return "\n" in given or given.lstrip().startswith("{")


def _answer(answer: urllib3.BaseHTTPResponse, host: str, source: str) -> Object:
    try:
        body = json.loads(answer.data or b"{}")
    except ValueError:
        body = {"message": answer.data.decode(errors="replace")[:500]}
    if not isinstance(body, dict):
        body = {"message": str(body)[:500]}
    if answer.status == 401:
        raise ClusterError(
            f"The API server {host} does not accept the credentials of {source} (401 Unauthorized)."
        )
    if answer.status >= 400:
        raise ApiError(answer.status, body)
    return body
