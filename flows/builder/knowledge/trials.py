"""What a run that asked a knowledge base by hand has found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.models import KnowledgeBase, Run
from flows.models.identifiers import UnknownIdentifier, parsed


@dataclass(frozen=True, slots=True)
class Trial:
    run: Run

    @property
    def is_over(self) -> bool:
        return self.run.ended_at is not None

    @property
    def hits(self) -> list[dict[str, Any]]:
        """The passages, the best first; none while it runs, and where it failed."""
        found = json.loads(self.run.output) if self.run.status == "succeeded" and self.run.output else []
        return [{**hit, "public_id": hit["id"]} for hit in found]

    @property
    def problem(self) -> str:
        return str(json.loads(self.run.error).get("message", "")) if self.run.error else ""


def trial_of(actor: Actor, base: KnowledgeBase, text: str) -> Trial | None:
    """The run of this identifier, where it asked this base and the actor may see it."""
    try:
        run = runs_for(actor).filter(id=parsed("run", text), purpose="test", tags__contains=[f"base:{base.slug}:asked"]).first()
    except UnknownIdentifier:
        return None
    return Trial(run) if run is not None else None
