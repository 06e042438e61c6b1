"""An engine for a command that needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from flows.models import Worker
from flows.routing.providers import preload
from orchestrator.engine import make_engine


def engine_beats() -> bool:
    """Whether some engine has shown within a lease that it is alive, by the database's clock."""
    return Worker.objects.filter(draining=False, beat__gt=Now() - timedelta(seconds=settings.LEASE)).exists()


@contextmanager
def an_engine(say: Callable[[str], object]) -> Iterator[None]:
    """An engine that drives what the command starts: those that run, else one of the command's own, for as long as it takes."""
    if engine_beats():
        yield
        return
    say("No engine is running; this command brings one of its own meanwhile.")
    preload()
    engine = make_engine()
    engine.start()
    try:
        yield
    finally:
        engine.stop()
