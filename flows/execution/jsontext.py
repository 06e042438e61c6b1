"""JSON as text in the engine's tables: written fast, and always storable."""

from __future__ import annotations

import json
from typing import Any

import orjson

from flows.engine.canonical import storable
from flows.engine.failures import InvalidOutput

LARGEST = 4 * 1024 * 1024
"""Bytes of one stored value."""


def dump(value: Any, most: int = LARGEST) -> str:
    """The value as JSON text. Raises `InvalidOutput` where it is no JSON, or larger than `most` bytes."""
    try:
        data = orjson.dumps(value)
    except TypeError:  # a lone surrogate, or a whole number of more than 64 bits
        try:
            data = json.dumps(storable(value), separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InvalidOutput(f"The result is no JSON value: {error}") from None
    if len(data) > most:
        raise InvalidOutput(f"The result has {len(data):,} bytes; at most {most:,} are kept.")
    return data.decode()


def kept(value: Any, most: int = LARGEST) -> Any:
    """The value as it will be read back: what expressions see now is what they see after a restart. Raises as `dump` does."""
    try:
        data = orjson.dumps(value)
        clean = b"\\u0000" not in data
    except TypeError:
        clean = False
    if clean and len(data) <= most:
        return value
    dump(value, most)
    return storable(value)


def load(text: str | None) -> Any:
    """The value behind the text; None for no text."""
    return None if text is None else orjson.loads(text)


def plain(text: str, most: int = 2000) -> str:
    """A message fit for a text column: no NUL, no lone surrogates, no more than `most` characters."""
    return text[:most].replace("\x00", "").encode("utf-8", "replace").decode()
