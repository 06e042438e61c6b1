"""What a flow is made of: one file a step kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flows.engine.kinds import Kind

_load: Callable[[], Mapping[str, Kind]] | None = None


def use_kinds(load: Callable[[], Mapping[str, Kind]]) -> None:
    """Says where this installation's kinds come from: called once when the process starts (`orchestrator/apps.py`), so that rooms
    above the steps need not know `orchestrator`. `load` is called when the kinds are first wanted, and should remember."""
    global _load
    _load = load


def known_kinds() -> Mapping[str, Kind]:
    """The kinds of this installation by slug, in the order of the catalogue."""
    if _load is None:
        raise RuntimeError("no step kinds: use_kinds() was not called when this process started")
    return _load()
