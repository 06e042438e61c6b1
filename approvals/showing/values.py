"""Values as a page shows them, each with where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from approvals.origins import INPUT, MODEL, PERSON, TOOL
from flows.engine.canonical import canonical
from flows.engine.masking import MASK

LONG = 120  # characters: longer text gets a line of its own


@dataclass(frozen=True, slots=True)
class Value:
    """One named value as it is shown. `by_model`: a model wrote it, or it was computed from what a model wrote."""

    name: str
    value: Any
    origins: frozenset[str] = frozenset()
    editable: bool = False

    @property
    def by_model(self) -> bool:
        return MODEL in self.origins

    @property
    def hidden(self) -> bool:
        """Whether it, or a part of it, is kept from view."""
        return any(isinstance(each, str) and MASK in each for each in leaves(self.value))

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, (dict, list))

    @property
    def is_long(self) -> bool:
        return isinstance(self.value, str) and (len(self.value) > LONG or "\n" in self.value)

    @property
    def is_lines(self) -> bool:
        """Whether it is a short list of texts and numbers."""
        return (
            isinstance(self.value, list)
            and 0 < len(self.value) <= 50
            and not any(isinstance(each, (dict, list)) for each in self.value)
        )

    @property
    def text(self) -> str:
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)

    @property
    def is_words(self) -> bool:
        """Whether it holds text, as against a number or a truth value."""
        return any(isinstance(each, str) for each in leaves(self.value))

    @property
    def source(self) -> str:
        """Where it comes from, in words; empty where the flow itself says it."""
        if MODEL in self.origins:
            return "written by a model" if self.is_words else "computed from a model’s answer"
        if TOOL in self.origins:
            return "answered by a tool"
        if PERSON in self.origins:
            return "by a person"
        return "from the run’s input" if INPUT in self.origins else ""


def leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def differences(before: Any, after: Any) -> list[dict[str, str]]:
    """What differs between two payloads, field by field."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return (
            [] if canonical(before) == canonical(after) else [{"name": "payload", "before": plain(before), "after": plain(after)}]
        )
    rows = []
    for name in [*before, *(name for name in after if name not in before)]:
        row = {side: plain(values[name]) for side, values in (("before", before), ("after", after)) if name in values}
        if len(row) < 2 or canonical(before[name]) != canonical(after[name]):
            rows.append({"name": name, **row})
    return rows


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
