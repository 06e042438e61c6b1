"""A note on the canvas; it has no part in a run."""

from __future__ import annotations

from flows.engine.kinds import Kind, Role, Settings


class NoteSettings(Settings):
    """What the note says."""

    text: str = ""


class NoteKind(Kind):
    slug = "note"
    label = "Note"
    group = "Notes"
    icon = "kind-note"
    begins_with = {"text": ""}
    ports_from = ()
    role = Role.NOTE
    Settings = NoteSettings

    def ports(self, settings: NoteSettings) -> frozenset[str]:
        return frozenset()
