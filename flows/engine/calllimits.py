"""How many calls a model or tool takes: at a time, and a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Of all workers together. `requests` and `tokens` are those that begin within any minute; None: any number."""

    target: str  # "model:small-1", "tool:mail.send"
    in_flight: int | None = None
    requests: int | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, kind: str, slug: str, values: Mapping[str, Any]) -> CallLimits | None:
        """The limits that a catalogue entry states; None where it states none."""
        stated = {name: values[name] for name in ("in_flight", "requests", "tokens") if values.get(name) is not None}
        return cls(f"{kind}:{slug}", **stated) if stated else None

    @property
    def name(self) -> str:
        """The target without its kind, as people know it."""
        return self.target.partition(":")[2]
