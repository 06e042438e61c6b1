"""Tagging a run."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.redaction import redacted
from flows.access.refusals import Invalid
from flows.access.rights import Right, require
from flows.costs.folding import retagging
from flows.execution.moves import announce, lock_run
from flows.models import Run
from flows.runs.actions.start_run import tag_faults


def tag_run(actor: Actor, run: Run, tag: str) -> Run:
    """Adds a tag to a run, whatever its state; one that it bears already changes nothing. Raises `NotFound`, `Forbidden`, `Invalid`.
    Gives the run as it is afterwards."""
    require(actor, Right.CONTROL_RUNS, run)
    tag = redacted(tag)
    with transaction.atomic():
        run = lock_run(run.id)
        if tag in run.tags:
            return run
        faults = tag_faults([*run.tags, tag])
        if faults:
            raise Invalid("The tag cannot be kept.", problems=faults)
        run.tags = [*run.tags, tag]
        with retagging(run.id):
            Run.objects.filter(id=run.id).update(tags=run.tags)
        record_change(actor, "run.tag", "run", run.public_id, {"tag": tag})
        announce(run)
    return run
