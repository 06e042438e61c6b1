"""Values that were not written by us, shown as what they are: text, always escaped."""

# ruff: noqa: A002 - arguments are called like the attributes of HTML that they become

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from flows.access.browsers import browser_named
from flows.engine.writing import write_yaml

register = template.Library()

MOST_NODES = 200
LONGEST_STRING = 2000
OPEN_LEVELS = 2


register.filter("browser", browser_named)


@register.inclusion_tag("components/json.html")
def json_view(value: Any, label: str = "Value", id: str = "") -> dict[str, Any]:
    """A JSON value as a tree that opens and closes; at most 200 nodes, the rest behind "raw"."""
    raw = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return {"tree": Tree().drawn(value), "raw": raw, "label": label, "id": id or f"json-{abs(hash(raw)) % 10**8}"}


class Tree:
    """Draws one value, counting its nodes."""

    def __init__(self) -> None:
        self.nodes = 0

    def drawn(self, value: Any, key: str | None = None, level: int = 0) -> SafeString:
        self.nodes += 1
        name = format_html('<span class="key">{}</span>: ', key) if key is not None else ""
        if isinstance(value, Mapping) and value:
            return self._group(name, [(str(key), each) for key, each in value.items()], "{", "}", level)
        if isinstance(value, list | tuple) and value:
            return self._group(name, [(str(at), each) for at, each in enumerate(value)], "[", "]", level)
        return format_html('<div class="leaf">{}{}</div>', name, leaf(value))

    def _group(self, name: Any, items: list[tuple[str, Any]], left: str, right: str, level: int) -> SafeString:
        room = max(0, MOST_NODES - self.nodes)
        inner = format_html_join("", "{}", ((self.drawn(each, key, level + 1),) for key, each in items[:room]))
        rest = len(items) - room
        more = format_html('<div class="leaf count">… {} more, in the raw text</div>', rest) if rest > 0 else ""
        return format_html(
            '<details{}><summary>{}{}<span class="count"> {} {} </span></summary>{}{}<div>{}</div></details>',
            SafeString(" open") if level < OPEN_LEVELS else "",
            name,
            left,
            len(items),
            right,
            inner,
            more,
            right,
        )


def leaf(value: Any) -> SafeString:
    if isinstance(value, str):
        shown = (
            value
            if len(value) <= LONGEST_STRING
            else f"{value[:LONGEST_STRING]}… ({len(value):,} characters, whole in the raw text)"
        )
        return format_html('<span class="string">"{}"</span>', cited(shown))
    if isinstance(value, bool) or value is None:
        return format_html('<span class="literal">{}</span>', json.dumps(value))
    if isinstance(value, int | float):
        return format_html('<span class="number">{}</span>', value)
    return format_html('<span class="literal">{}</span>', json.dumps(value, default=str))


PASSAGE = re.compile(r"\bpsg_[0-9a-f]{32}\b")


@register.filter
def cited(text: str) -> SafeString:
    """A text as it is, in which the identifiers of passages of knowledge bases open them."""
    parts, at = [], 0
    for found in PASSAGE.finditer(text):
        link = format_html('<a href="{}">{}</a>', reverse("passage", args=[found[0]]), found[0])
        parts += [escape(text[at : found.start()]), link]
        at = found.end()
    return format_html_join("", "{}", ((part,) for part in (*parts, escape(text[at:]))))


@register.filter
def yaml(value: Any) -> str:
    """A JSON value as YAML, to be read; a text as it is."""
    return value if isinstance(value, str) else "\n" * isinstance(value, (Mapping, list)) + write_yaml(value).rstrip("\n")


MARKS = {"added": "+", "removed": "−", "changed": "~"}


@register.inclusion_tag("components/diff.html")
def diff(rows: Iterable[Mapping[str, Any]], before: str = "Before", after: str = "After", unchanged: int = 0) -> dict[str, Any]:
    """Fields that differ: mappings ``{"name", "before", "after"}``, where a missing side says that it was not there."""
    return {"rows": [_compared(row) for row in rows], "before": before, "after": after, "unchanged": unchanged}


def _compared(row: Mapping[str, Any]) -> dict[str, Any]:
    change = "added" if "before" not in row else "removed" if "after" not in row else "changed"
    return {"name": row["name"], "change": change, "mark": MARKS[change], "before": row.get("before"), "after": row.get("after")}
