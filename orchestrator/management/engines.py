"""An engine for a command that needs one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from flows.models import ToolJob, Worker
from flows.routing.providers import preload
from flows.tools.jobs import run_job
from orchestrator.engine import make_engine

JOBS_LOOKED_FOR = 0.1  # seconds between two looks


def engine_beats() -> bool:
    """Whether some engine has shown within a lease that it is alive, by the database's clock."""
    return Worker.objects.filter(draining=False, beat__gt=Now() - timedelta(seconds=settings.LEASE)).exists()


@contextmanager
def jobs_done_here() -> Iterator[None]:
    """Runs what waits for a tools worker in a thread of this process, for a command that brings its own engine."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(JOBS_LOOKED_FOR):
            for call in ToolJob.objects.filter(state="queued").order_by("created_at").values_list("call_id", flat=True)[:20]:
                run_job(call)
        connection.close()

    thread = threading.Thread(target=work, name="jobs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def an_engine(say: Callable[[str], object]) -> Iterator[None]:
    """An engine that drives what the command starts: those that run, else one of the command's own with a tools worker, for as long
    as it takes."""
    if engine_beats():
        yield
        return
    say("No engine is running; this command brings one of its own meanwhile.")
    preload()
    engine = make_engine()
    engine.start()
    try:
        with jobs_done_here():
            yield
    finally:
        engine.stop()
