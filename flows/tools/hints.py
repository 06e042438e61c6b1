"""What a Python function takes and gives, as JSON Schemas, from its type hints."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from pydantic import TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError

from flows.tools.functions import ToolFunction


def schemas_of(found: ToolFunction) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of its arguments and of its result. What has no hint, or none that a schema can say, may be anything."""
    try:
        hints = get_type_hints(found.function, include_extras=True)
    except (NameError, TypeError):
        hints = {}
    fields: dict[str, Any] = {}
    more = False
    for name, parameter in inspect.signature(found.function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            more = True
        elif name not in found.given and parameter.kind is not parameter.VAR_POSITIONAL:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    try:
        takes = create_model("Arguments", **fields).model_json_schema()
    except PydanticSchemaGenerationError:
        takes = {"type": "object", "properties": {name: {} for name in fields}, "required": _needed(fields)}
    takes["additionalProperties"] = more
    return _bare(takes), _result(hints.get("return", Any))


def _needed(fields: dict[str, Any]) -> list[str]:
    return [name for name, (_, default) in fields.items() if default is ...]


def _result(hint: Any) -> dict[str, Any]:
    try:
        return _bare(TypeAdapter(hint).json_schema())
    except PydanticSchemaGenerationError:
        return {}


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the titles that pydantic makes of names."""
    shown = {name: value for name, value in schema.items() if name != "title"}
    if "properties" in shown:
        shown["properties"] = {
            name: {key: value for key, value in each.items() if key != "title"} for name, each in shown["properties"].items()
        }
    return shown
