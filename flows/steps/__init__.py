"""What a flow is made of: one file a step kind."""

from flows.engine.kinds import Kind

KINDS: dict[str, Kind] = {}
"""The kinds of this installation by slug, in the order of the catalogue; filled once when the process starts
(`orchestrator/apps.py`), so that rooms above the steps need not know `orchestrator`."""
