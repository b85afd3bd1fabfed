"""Refused input: every refusal says file, key, value, rule and remedy."""

import json
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

Fault = tuple[str, object, str, str]
"""What a refusal would say, to be collected first: key, value, rule and remedy."""

LONGEST_VALUE = 80
"""Characters of a refused value that are shown."""


class _Loader(yaml.CSafeLoader):
    """The safe loader; a key that stands twice is an error instead of a silent choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Refusal(Exception):  # noqa: N818 - it is a refusal of input, not an error of the program
    """Input that cannot be used. The command line prints it and exits with 2."""

    def __init__(self, where: str, value: object, rule: str, remedy: str) -> None:
        self.where, self.value, self.rule, self.remedy = where, value, rule, remedy
        super().__init__(f"{where} is {value!r}: {rule}. {remedy}")

    @property
    def parts(self) -> dict[str, str]:
        """Its four parts by their names, for who prints no sentence."""
        return {key: str(getattr(self, key)) for key in ("where", "value", "rule", "remedy")}


def read(path: Path, model: type[Model], *, inside: tuple[str, ...] = ()) -> Model:
    """Read a YAML file into a closed model, or refuse it with file, key, value, rule and remedy.

    ``inside`` names the keys under which the document's part stands.
    """
    try:
        document: Any = yaml.load(path.read_text(), _Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise Refusal(
            str(path), None, "the file does not exist", "Create it, or check the name."
        ) from None
    except yaml.YAMLError as error:
        rule = "not valid YAML: " + " ".join(str(error).split())
        raise Refusal(str(path), "…", rule, "Correct the file.") from None
    for key in inside:
        if not isinstance(document, dict) or key not in document:
            raise Refusal(f"{path}: {key}", None, "the key is required", f"Add {key} to the file.")
        document = document[key]
    return check(document, model, where=": ".join([str(path), *inside]))


def check(document: object, model: type[Model], *, where: str) -> Model:
    """Validate a document, and refuse it at its first fault.

    A model may refuse by itself, to name the key and the remedy of a rule over several keys.
    """
    try:
        # As JSON: lists may become tuples and text a path or a day, but no text becomes a number.
        return model.model_validate_json(json.dumps(document, default=str), strict=True)
    except Refusal as refused:
        place = f"{where}: {refused.where}"
        raise Refusal(place, refused.value, refused.rule, refused.remedy) from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in fault["loc"])
        place = f"{where}: {key}" if key else where
        rule = fault["msg"].removeprefix("Value error, ")
        raise Refusal(place, _short(fault), rule, _remedy(fault, model, key)) from None


def _short(fault: ErrorDetails) -> object:
    """The value, or None where there is none: a missing key has its parent as pydantic's input."""
    value = fault["input"]
    if fault["type"] == "missing":
        return None
    return value if len(repr(value)) <= LONGEST_VALUE else repr(value)[:LONGEST_VALUE] + "…"


def _remedy(fault: ErrorDetails, model: type[BaseModel], key: str) -> str:
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_fields(model, fault["loc"][:-1]))
        return f"Remove {key}" + (f"; known keys there: {known}." if known else ".")
    if fault["type"] == "missing":
        return f"Add {key}."
    return f"Set {key} to a value that the rule allows." if key else "Change it as the rule says."


def _fields(model: type[BaseModel], steps: tuple[int | str, ...]) -> list[str]:
    """Keys that are known under ``steps``; none where that is no model."""
    here: object = model
    for step in steps:
        if isinstance(step, int):
            continue  # an item of a list has the list's model
        if not (isinstance(here, type) and issubclass(here, BaseModel)):
            return []
        field = here.model_fields.get(step)
        here = _model(field.annotation) if field else None
    known = isinstance(here, type) and issubclass(here, BaseModel)
    return list(here.model_fields) if known else []  # type: ignore[attr-defined]


def _model(annotation: object) -> object:
    """The model inside an annotation such as ``list[Pool]`` or ``Pool | None``."""
    for part in get_args(annotation):
        found = _model(part)
        if found is not None:
            return found
    return (
        annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    )
