"""The schemas that a registered function's type hints make."""

from __future__ import annotations

from typing import Any, Literal

from flows.tools.base import ToolContext
from flows.tools.functions import ToolFunction
from flows.tools.hints import schemas_of


def schemas(function: Any, *given: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return schemas_of(ToolFunction("test", function, True, frozenset(given)))


async def priced(order: int, kind: Literal["small", "large"] = "small", notes: list[str] | None = None) -> dict[str, float]:
    return {"price": float(order)}


def test_hints_say_types_choices_defaults_and_the_result() -> None:
    takes, gives = schemas(priced)

    assert takes["required"] == ["order"]
    assert takes["additionalProperties"] is False
    assert takes["properties"]["order"] == {"type": "integer"}
    assert takes["properties"]["kind"] == {"enum": ["small", "large"], "type": "string", "default": "small"}
    assert gives == {"type": "object", "additionalProperties": {"type": "number"}}


async def keyed(amount: float, idempotency_key: str, context: ToolContext) -> None: ...


def test_what_the_caller_fills_is_no_argument() -> None:
    takes, gives = schemas(keyed, "idempotency_key", "context")

    assert list(takes["properties"]) == ["amount"]
    assert gives == {"type": "null"}


class Strange: ...


def untyped(value, other: Strange, **more):  # type: ignore[no-untyped-def]  # what it is here for
    return value


def test_what_no_schema_can_say_may_be_anything() -> None:
    takes, gives = schemas(untyped)

    assert takes == {
        "type": "object",
        "properties": {"value": {}, "other": {}},
        "required": ["value", "other"],
        "additionalProperties": True,
    }
    assert gives == {}
