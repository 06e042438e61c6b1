"""Looking at what is hidden of a run."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.masking import mask_of
from flows.access.rights import Right, require
from flows.engine.masking import Hidden
from flows.models import Run

SECONDS = 60  # that a page shows them


def reveal_fields(actor: Actor, run: Run) -> tuple[Hidden, ...]:
    """The hidden fields of a run with their places, as its rows hold them; that somebody looked is in the audit log, with the places.

    Raises `NotFound`, `Forbidden`.
    """
    require(actor, Right.REVEAL, run)
    hidden = mask_of(run).hidden
    with transaction.atomic():
        places = sorted({place for place, _ in hidden})
        record_change(actor, "run.reveal", "run", run.public_id, {"fields": places[:200], "count": len(places)})
    return hidden
