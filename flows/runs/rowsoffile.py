"""A run as one row of a file."""

from __future__ import annotations

from typing import Any

from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.rights import Right
from flows.models import Run
from flows.models.identifiers import shown


def row_of(actor: Actor, run: Run) -> dict[str, Any]:
    """With exact costs and the names of states that machines use; costs are empty where the actor may not see them."""
    error = mask_of(run).read(run.error) if run.error else None
    said = error if isinstance(error, dict) else {}
    costs = actor.may(Right.SEE_COSTS, run.flow.team_id)
    return {
        "run": run.public_id,
        "number": run.number,
        "flow": run.flow.slug,
        "version": run.version.number,
        "state": run.status,
        "reason": run.reason,
        "pass": run.pass_number,
        "source": run.source,
        "started_by": run.started_by.username if run.started_by is not None else None,
        "origin": shown("run", run.origin_id) if run.origin_id is not None else None,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at is not None else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at is not None else None,
        "cost": f"{run.spent:f}" if costs else None,
        "unpriced_calls": run.unpriced if costs else None,
        "currency": "USD",
        "tokens": run.spent_tokens,
        "steps": run.steps,
        "tags": ", ".join(run.tags),
        "error_step": said.get("step"),
        "error_class": said.get("class"),
        "error": said.get("message"),
    }
