"""The demonstration whole: people, flows, forty-five days of runs, and what goes on now.

Everything is made by the product's own verbs and carried out by simulated models; only the past, which nobody can act out, is copies of
such runs. What it brings is marked (`marks.py`) and can be removed again (`removal.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.costs.folding import fold_everything, forget_sums
from flows.engine.states import TERMINAL_STATES
from flows.models import Filling, Run
from orchestrator.seeding.cast import Progress, answer_all, start, wait_for
from orchestrator.seeding.ground import lay_ground, set_budgets
from orchestrator.seeding.history import retell, settle
from orchestrator.seeding.marks import mark, mark_drafts, marked
from orchestrator.seeding.runs import remove_runs
from orchestrator.seeding.scenes import play
from orchestrator.seeding.tales import TALES

LOCK = 7_236_412  # of nothing else
SCALE = 1.0  # share of the past that is told


def is_filled() -> bool:
    return Filling.objects.filter(ended_at__isnull=False).exists()


def seed_ui(progress: Progress, receiver_port: int, *, by: Actor | None = None) -> bool:
    """Brings the demonstration's runs into an installation that has its cast (`orchestrator/demo.py`); False where they are there, or
    another process is at it. An engine must be at work.

    What an earlier try left half made is removed first. Raises `TooSlow`, and leaves
    the reason where pages show it.
    """
    with _alone() as alone:
        if not alone or is_filled():
            return False
        Filling.objects.update_or_create(
            id=1, defaults={"by": by.person if by is not None else None, "error": "", "begun_at": Now(), "moved_at": Now()}
        )
        try:
            _fill(lambda what, done, wanted: _note(progress, what, done, wanted), receiver_port)
        except Exception as error:
            Filling.objects.update(error=str(error)[:300] or type(error).__name__)
            raise
        Filling.objects.update(ended_at=Now(), what="", error="")
    return True


def _fill(progress: Progress, receiver_port: int) -> None:
    if left := marked("run"):
        remove_runs(list(left))
    progress("flows", 0, 1)
    lay_ground(receiver_port)
    progress("flows", 1, 1)
    time.sleep(2 * settings.SCAN_PERIOD)  # so long an engine may take to hear of routes that are new
    runs = [start(tale.flow, tale.given, tale.by, tags=tale.tags, limits=tale.limits, source=tale.source) for tale in TALES]
    answers = {run.id: tale.answer for run, tale in zip(runs, TALES, strict=True)}

    def finished() -> int:
        answer_all(answers)
        return Run.objects.filter(id__in=list(answers), status__in=TERMINAL_STATES).count()

    wait_for(progress, "runs to tell of", len(runs), finished)
    told, wanted = [], sum(max(1, round(tale.times * SCALE)) for tale in TALES)
    for run, tale in zip(Run.objects.filter(id__in=list(answers)).select_related("flow").order_by("id"), TALES, strict=True):
        ids = retell(run, max(1, round(tale.times * SCALE)))
        mark("run", ids)
        told += ids
        progress("runs of 45 days", len(told), wanted)
    settle(told)
    remove_runs([str(run.id) for run in runs])
    forget_sums()
    fold_everything()
    play(progress)
    set_budgets()
    mark_drafts()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _note(progress: Progress, what: str, done: int, wanted: int) -> None:
    Filling.objects.update(what=what[:60], done=done, wanted=wanted, moved_at=Now())
    progress(what, done, wanted)


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether nobody else fills this installation; until the end of the block nobody else begins to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        alone: bool = cursor.fetchone()[0]
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
