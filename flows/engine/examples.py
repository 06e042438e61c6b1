"""An input that a schema takes, for examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS = {"email": "ann@example.com", "date": "2026-01-31", "date-time": "2026-01-31T12:00:00Z", "uri": "https://example.com/"}


def example_of(schema: Mapping[str, Any] | None) -> Any:
    """A value of the schema's form: its own example, default or first choice where it has one; of an object what is required."""
    if not schema:
        return {}
    for name in ("examples", "enum"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0]
    for name in ("default", "const"):
        if name in schema:
            return schema[name]
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "object" | None if schema.get("properties") or kind == "object":
            properties = schema.get("properties") or {}
            return {
                name: example_of(properties.get(name)) if name in properties else "text" for name in schema.get("required") or []
            }
        case "array":
            return [example_of(schema.get("items"))] * max(1, min(int(schema.get("minItems", 1)), 3))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    text = TEXTS.get(str(schema.get("format")), "text")
    return text.ljust(min(int(schema.get("minLength", 0)), 200), "x")
