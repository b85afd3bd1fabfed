"""The service's OpenAPI document, made of the same declaration that checks the requests."""

from typing import Any

from services.serving import schema
from services.serving.model import Model

FAULTS = {
    "400": "the body breaks a rule",
    "404": "no such path or version",
    "405": "the path does not take this method",
    "408": "the body came too slowly",
    "413": "the body is larger than 1 MiB",
    "415": "the body is not JSON",
    "429": "there is more to do than can be done in time",
    "500": "the service failed; the log says why",
}


def document(model: Model, version: str) -> dict[str, Any]:
    """OpenAPI 3.0 of one model's service."""
    fault = dict.fromkeys(("code", "message", "remedy"), schema.TEXT)
    return {
        "openapi": "3.0.3",
        "info": {"title": model.name, "version": version, "description": model.summary},
        "servers": [{"url": "."}],
        "paths": {
            model.route: {"post": _hot(model)},
            "/livez": _plain("the process is alive"),
            "/healthz": _plain("the same as /livez"),
            "/readyz": _plain("the model is loaded"),
            "/metrics": _plain("counters in Prometheus' text format"),
        },
        "components": {
            "schemas": {**model.schemas(), "Fault": schema.obj({"error": schema.obj(fault)})}
        },
    }


def _hot(model: Model) -> dict[str, Any]:
    faults = {
        code: {"description": what, "content": _json("Fault")} for code, what in FAULTS.items()
    }
    return {
        "operationId": model.route.rsplit("/", 1)[1],
        "summary": model.summary,
        "requestBody": {"required": True, "content": _json("Request")},
        "responses": {
            "200": {"description": "one answer for each item", "content": _json("Answer")},
            **faults,
        },
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": schema.reference(name)}}


def _plain(what: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "get": {"summary": what, "responses": {"200": {"description": what, "content": content}}}
    }
