"""Refused input: every refusal says file, key, value, rule and remedy."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Refusal(Exception):  # noqa: N818 - it is a refusal of input, not an error of the program
    """Input that cannot be used. The command line prints it and exits with 2."""

    def __init__(self, where: str, value: object, rule: str, remedy: str) -> None:
        self.where, self.value, self.rule, self.remedy = where, value, rule, remedy
        super().__init__(f"{where} is {value!r}: {rule}. {remedy}")


def read(path: Path, model: type[Model], *, inside: tuple[str, ...] = ()) -> Model:
    """Read a YAML file into a closed model, or refuse it with file, key, value, rule and remedy.

    ``inside`` names the keys under which the document's part stands.
    """
    try:
        document: Any = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise Refusal(
            str(path), None, "the file does not exist", "Create it, or check the name."
        ) from None
    except yaml.YAMLError as error:
        raise Refusal(str(path), "…", f"not valid YAML: {error}", "Correct the file.") from None
    for key in inside:
        if not isinstance(document, dict) or key not in document:
            raise Refusal(f"{path}: {key}", None, "the key is required", f"Add {key} to the file.")
        document = document[key]
    return check(document, model, where=": ".join([str(path), *inside]))


def check(document: object, model: type[Model], *, where: str) -> Model:
    """Validate a document, and refuse it at its first fault."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        rule = fault["msg"]
        known = ", ".join(model.model_fields)
        remedy = (
            f"Remove {key}; known keys at the top: {known}."
            if fault["type"] == "extra_forbidden"
            else f"Set {key} to a value that the rule allows."
        )
        raise Refusal(f"{where}: {key}", fault.get("input"), rule, remedy) from None
