"""Configuration of the registry and of the gate in front of it, as data. No pulumi here."""

import yaml

from infra.platform import spaces

# The registry hears only its own pod; the gate is what everybody else speaks to.
REGISTRY = "127.0.0.1:5000"
DEBUG_PORT = 5001
GATE_PORT = 5443
PING_PORT = 8082
SECRET = "/etc/gate-secret"  # noqa: S105 - a folder
GATE = "/etc/gate"
IMAGES = "/var/lib/registry"

# Layers are large and networks slow; without an end, a dead client would hold its place for ever.
UPLOAD_SECONDS = 3600
_READS = "(Method(`GET`) || Method(`HEAD`))"


def accounts(htpasswd: str) -> dict[str, str]:
    """Who may read and who may write, out of the environment's accounts: two htpasswd files."""
    lines = htpasswd.splitlines(keepends=True)
    return {
        "readers": htpasswd,
        "writers": "".join(line for line in lines if line.startswith("push:")),
    }


def registry() -> str:
    """config.yml of distribution. It asks nobody who they are: the gate has done so."""
    return yaml.safe_dump(
        {
            "version": 0.1,
            "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": IMAGES},
                "delete": {"enabled": True},
                "cache": {"blobdescriptor": "inmemory"},
            },
            "http": {
                "addr": REGISTRY,
                # Redirects stay relative: nodes and this machine use different addresses.
                "relativeurls": True,
                "headers": {"X-Content-Type-Options": ["nosniff"]},
                "debug": {
                    "addr": f":{DEBUG_PORT}",
                    "prometheus": {"enabled": True, "path": "/metrics"},
                },
            },
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        },
        sort_keys=False,
    )


def gate_arguments() -> list[str]:
    """Traefik's static configuration as the gate of the registry."""
    entry = "--entrypoints.registry"
    return [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        "--log.format=json",
        "--accesslog=true",
        "--accesslog.format=json",
        "--accesslog.fields.headers.defaultmode=drop",
        f"{entry}.address=:{GATE_PORT}",
        f"{entry}.transport.respondingtimeouts.readtimeout={UPLOAD_SECONDS}s",
        f"--entrypoints.ping.address=:{PING_PORT}",
        "--ping.entrypoint=ping",
        f"--providers.file.filename={GATE}/routes.yml",
        "--providers.file.watch=false",
    ]


def gate_routes() -> str:
    """Reading needs one of the accounts, anything else the account `push`."""

    def route(rule: str, who: str) -> dict[str, object]:
        return {
            "entryPoints": ["registry"],
            "rule": rule,
            "service": spaces.DISTRIBUTION,
            "middlewares": [who],
            "tls": {},
        }

    def account(file: str) -> dict[str, object]:
        # The registry needs no password, so none is handed on to it.
        return {
            "basicAuth": {
                "usersFile": f"{SECRET}/{file}",
                "realm": "modelyard registry",
                "removeHeader": True,
            }
        }

    certificate = {"certFile": f"{SECRET}/tls.crt", "keyFile": f"{SECRET}/tls.key"}
    return yaml.safe_dump(
        {
            "http": {
                "routers": {
                    "read": route(f"PathPrefix(`/v2/`) && {_READS}", "readers"),
                    "write": route(f"PathPrefix(`/v2/`) && !{_READS}", "writers"),
                },
                "middlewares": {"readers": account("readers"), "writers": account("writers")},
                "services": {
                    spaces.DISTRIBUTION: {
                        "loadBalancer": {"servers": [{"url": f"http://{REGISTRY}"}]}
                    }
                },
            },
            "tls": {
                "certificates": [certificate],
                "stores": {"default": {"defaultCertificate": certificate}},
            },
        },
        sort_keys=False,
    )
