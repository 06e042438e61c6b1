"""What the tools worker does for errands on runs: one verb for many, and the list as a file."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from itertools import islice
from uuid import UUID

from django.db import transaction
from django.http import QueryDict

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.refusals import Refusal
from flows.execution.errands import advance, begin_errand, carries, leave_out
from flows.models import Errand, ErrandPiece, Person, Run
from flows.models.identifiers import new_id
from flows.runs.actions.control_many import control_one
from flows.runs.actions.tag_run import tag_run
from flows.runs.exports import written
from flows.runs.listing import matching, wanted_by
from flows.runs.rowsoffile import row_of

ROWS = 500  # of one piece of a file


def begin_many(by: Person, act: str, title: str, runs: Iterable[Run], *, key: str, tag: str = "") -> Errand:
    """`act` (retry, repeat, cancel, tag) for each of these runs, from a worker."""
    ids = [run.id.hex for run in runs]
    return begin_errand(by, f"runs.{act}", title, len(ids), key=key, subject="/runs", runs=ids, tag=tag)


def begin_export(by: Person, form: str, query: str, runs: int) -> Errand:
    """The list of runs at this address as a file, from a worker."""
    title = f"Write {runs:,} runs as {form.upper()}"
    address = f"/runs?{query}" if query else "/runs"
    key = f"export-{new_id().hex}"
    return begin_errand(by, "runs.export", title, runs, key=key, subject=address[:80], form=form, query=query)


@carries("runs.retry", "runs.repeat", "runs.cancel", "runs.tag")
def carry_verb(errand: Errand, actor: Actor) -> None:
    """Each run is a transaction of its own, with the count of it."""
    for run_id in errand.about["runs"][errand.done :]:
        with transaction.atomic():
            advance(errand)
            run = runs_for(actor).select_related("flow", "version").filter(id=UUID(run_id)).first()
            if run is None:
                leave_out(errand, f"run_{run_id}", "It is not to be seen any more.")
                continue
            why = _refused(errand, actor, run)
            if why is not None:
                leave_out(errand, f"{run.flow.name} #{run.number}", why.message, f"/runs/{run.public_id}")


def _refused(errand: Errand, actor: Actor, run: Run) -> Refusal | None:
    act = errand.kind.removeprefix("runs.")
    if act != "tag":
        return control_one(actor, act, run, key=errand.key).refusal
    try:
        with transaction.atomic():
            tag_run(actor, run, errand.about["tag"])
    except Refusal as refusal:
        return refusal
    return None


@carries("runs.export")
def carry_export(errand: Errand, actor: Actor) -> None:
    """The whole list as it is at one moment: whoever takes an export over begins it anew."""
    Errand.objects.filter(id=errand.id, done=errand.done, ended_at=None).update(done=0)
    errand.done = 0
    runs = matching(actor, wanted_by(QueryDict(errand.about["query"])))
    found = runs.iterator(chunk_size=ROWS)
    for n, rows in enumerate(iter(lambda: list(islice(found, ROWS)), [])):
        text = written((row_of(actor, run) for run in rows), errand.about["form"], head=n == 0)
        with transaction.atomic():
            advance(errand, len(rows))
            if n == 0:
                errand.pieces.all().delete()
            ErrandPiece.objects.create(errand=errand, n=n, content=gzip.compress(text.encode(), 6))
    Errand.objects.filter(id=errand.id).update(wanted=errand.done)
