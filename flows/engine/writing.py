"""Writes JSON values as YAML in one fixed form, which does not change with the version of a library.

Blocks for objects and lists, `|` for texts of several lines, quotes only where a text would be read as something else.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from flows.engine.yamltext import resolve_plain

_PLAIN = re.compile(r"[A-Za-z0-9_/.(][^\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff\t]*")
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_BLOCK_LINE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]*")


def write_yaml(value: Any) -> str:
    """The YAML text of a JSON value (amounts of money may be Decimal), ending with a line end."""
    lines: list[str] = []
    _block(value, 0, lines)
    return "\n".join(lines) + "\n"


def _block(value: Any, indent: int, lines: list[str]) -> None:
    """Appends the lines of a value that stands by itself."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _entry(f"{pad}{_text(key, key=True)}:", item, indent, lines)
    elif isinstance(value, (list, tuple)) and value:
        for item in value:
            _item(item, indent, lines)
    else:
        lines.append(pad + _scalar(value))


def _entry(head: str, value: Any, indent: int, lines: list[str]) -> None:
    """Appends `key: value`."""
    if isinstance(value, dict) and value:
        lines.append(head)
        _block(value, indent + 1, lines)
    elif isinstance(value, (list, tuple)) and value:
        if _is_short(value):
            lines.append(f"{head} [{', '.join(_scalar(item) for item in value)}]")
        else:
            lines.append(head)
            _block(value, indent + 1, lines)
    elif isinstance(value, str) and _fits_block(value):
        _literal(head, value, indent + 1, lines)
    else:
        lines.append(f"{head} {_scalar(value)}")


def _item(value: Any, indent: int, lines: list[str]) -> None:
    """Appends `- value`; an object's first key stands beside the dash."""
    pad = "  " * indent
    if isinstance(value, (dict, list, tuple)) and value:
        inner: list[str] = []
        _block(value, indent + 1, inner)
        inner[0] = f"{pad}- {inner[0][len(pad) + 2 :]}"
        lines.extend(inner)
    elif isinstance(value, str) and _fits_block(value):
        _literal(f"{pad}-", value, indent + 1, lines)
    else:
        lines.append(f"{pad}- {_scalar(value)}")


def _literal(head: str, text: str, indent: int, lines: list[str]) -> None:
    ends = text.endswith("\n")
    lines.append(f"{head} {'|' if ends else '|-'}")
    pad = "  " * indent
    lines.extend(pad + line if line else "" for line in (text[:-1] if ends else text).split("\n"))


def _is_short(values: Any) -> bool:
    return len(values) <= 8 and all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in values)


def _fits_block(text: str) -> bool:
    """Whether `|` says this text exactly, and says it well."""
    if "\n" not in text or text.endswith("\n\n") or text[0] in " \t\n" or not text.strip():
        return False
    return all(_BLOCK_LINE.fullmatch(line) and line == line.rstrip() for line in text.split("\n"))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, str):
        return _text(str(value))
    return "{}" if isinstance(value, dict) else "[]"


def _text(text: str, *, key: bool = False) -> str:
    if (
        _PLAIN.fullmatch(text)
        and text == text.strip()
        and ": " not in text
        and " #" not in text
        and not text.endswith(":")
        and not text.startswith(("...", "---"))
        and not (key and len(text) > 100)
        and _is_text(text)
    ):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _is_text(text: str) -> bool:
    try:
        return isinstance(resolve_plain(text), str)
    except ValueError:
        return False
