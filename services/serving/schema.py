"""Pieces of OpenAPI schemas."""

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}


def array(items: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    """A list with bounds."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def obj(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def reference(name: str) -> dict[str, Any]:
    """Point to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def facts() -> dict[str, Any]:
    """The schema of services.serving.model.Facts."""
    return obj({"name": TEXT, "version": TEXT, "digest": {"type": "string", "nullable": True}})
