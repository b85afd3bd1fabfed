"""The service's OpenAPI document, made of the same declaration that checks the requests."""

from typing import Any

from services.serving.classifier import Classifier
from services.serving.items import Items, columns

FAULTS = {
    "400": "the body breaks a rule",
    "404": "no such path or version",
    "405": "the path does not take this method",
    "408": "the body came too slowly",
    "413": "the body is larger than 1 MiB",
    "415": "the body is not JSON",
    "500": "the service failed; the log says why",
}


def document(classifier: Classifier, version: str) -> dict[str, Any]:
    """OpenAPI 3.0 of one model's service."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": classifier.name,
            "version": version,
            "description": classifier.summary,
        },
        "servers": [{"url": "."}],
        "paths": {
            "/v1/predict": {"post": _predict(classifier)},
            "/livez": _plain("the process is alive"),
            "/healthz": _plain("the same as /livez"),
            "/readyz": _plain("the model is loaded"),
            "/metrics": _plain("counters in Prometheus' text format"),
        },
        "components": {"schemas": _schemas(classifier)},
    }


def _predict(classifier: Classifier) -> dict[str, Any]:
    faults = {
        code: {"description": what, "content": _json("Fault")} for code, what in FAULTS.items()
    }
    return {
        "operationId": "predict",
        "summary": classifier.summary,
        "requestBody": {"required": True, "content": _json("Request")},
        "responses": {
            "200": {"description": "one prediction for each item", "content": _json("Answer")},
            **faults,
        },
    }


def _schemas(classifier: Classifier) -> dict[str, Any]:
    text = {"type": "string"}
    kind = "integer" if all(isinstance(label, int) for label in classifier.labels) else "string"
    items = classifier.items
    return {
        "Request": _object({items.key: _array(_nested(items), 1, items.limit)}),
        "Answer": _object(
            {
                "predictions": _array({"$ref": "#/components/schemas/Prediction"}, 1, items.limit),
                "model": _object(
                    {"name": text, "version": text, "digest": {"type": "string", "nullable": True}}
                ),
            }
        ),
        "Prediction": _object(
            {
                "label": {"type": kind, "enum": list(classifier.labels)},
                "probability": {"type": "number", "minimum": 0, "maximum": 1},
            }
        ),
        "Fault": _object({"error": _object({"code": text, "message": text, "remedy": text})}),
    }


def _nested(items: Items) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "number",
        # OpenAPI 3.0 has no schema for a single column: the widest bounds stand for all.
        "minimum": min(columns(items.low)),
        "maximum": max(columns(items.high)),
    }
    for length in reversed(items.shape):
        schema = _array(schema, length, length)
    return schema


def _array(items: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _plain(what: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "get": {"summary": what, "responses": {"200": {"description": what, "content": content}}}
    }
