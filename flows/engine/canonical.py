"""The one spelling of a JSON value, so that equal values have equal hashes.

Keys sorted by code point, no blanks, UTF-8, and a number without a fraction written without one, after RFC 8785: a value that
went through a browser keeps its hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

LARGEST_EXACT = 2**53  # beyond it a float no longer says which whole number it means


def canonical(value: Any) -> str:
    """The canonical JSON text of `value`. Raises ValueError for what JSON cannot hold (NaN, infinities, other types)."""
    try:
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"not a JSON value: {error}") from None


def sha256_of(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_EXACT:
        return int(value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"not a JSON value: the key {key!r} is no text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


DEEPEST = 64  # levels of nesting that we take from outside


def storable(value: Any) -> Any:
    """The same JSON value, fit for PostgreSQL: NUL characters left out, lone surrogates replaced by U+FFFD.

    Raises ValueError where it is nested deeper than `DEEPEST` levels or holds what JSON cannot.
    """
    return _storable(value, 0)


def _storable(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else _storable_text(value)
    if isinstance(value, dict):
        return {_storable_text(key): _storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    return value


def _storable_text(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
