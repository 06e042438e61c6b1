"""What flows may call: one file a tool kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.tools.base import ToolKind

_load: Callable[[], Iterable[ToolKind]] | None = None


def use_tool_kinds(load: Callable[[], Iterable[ToolKind]]) -> None:
    """Says where this installation's tool kinds come from: called once when the process starts (`orchestrator/apps.py`). `load` is
    called when they are wanted, and should remember."""
    global _load
    _load = load


def known_tool_kinds() -> Mapping[str, ToolKind]:
    """The tool kinds of this installation by slug."""
    if _load is None:
        raise RuntimeError("no tool kinds: use_tool_kinds() was not called when this process started")
    return {kind.slug: kind for kind in _load()}
