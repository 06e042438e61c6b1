"""Durations as they are written in a flow: `30s`, `4h`, `1h30m`, `2d`, `250ms`."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

PATTERN = r"^(?=[0-9])([0-9]{1,6}d)?([0-9]{1,7}h)?([0-9]{1,8}m)?([0-9]{1,9}(\.[0-9]{1,3})?s)?([0-9]{1,9}ms)?$"
LONGEST = 3650 * 86400.0
_FORM = re.compile(PATTERN)
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)


class Duration(str):  # noqa: SLOT000  (it keeps what it was read as)
    """A duration that keeps the text it was written as; `seconds` is what it means."""

    seconds: float

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        self.seconds = parse_duration(text)
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": PATTERN, "examples": ["30s", "4h", "1h30m", "2d"], "x-format": "duration"}

    @classmethod
    def _validate(cls, value: Any) -> Duration:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError(
                "duration", "`{value}` is not a duration; write it with its unit, like 30s", {"value": str(value)[:40]}
            )
        try:
            return cls(value)
        except ValueError as error:
            raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from None


def parse_duration(text: str) -> float:
    """Seconds of `1h30m`. Raises ValueError that says how to write one."""
    found = _FORM.match(text)
    if not found:
        raise ValueError(f"`{text[:40]}` is not a duration; write one like 30s, 15m, 4h, 1h30m or 2d")
    parts = (found[1], found[2], found[3], found[4], found[6])
    seconds = sum(float(part.rstrip("dhms")) * unit for part, unit in zip(parts, _UNITS, strict=True) if part)
    if seconds > LONGEST:
        raise ValueError(f"`{text}` is longer than ten years")
    return seconds
