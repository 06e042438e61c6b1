"""A real engine in a thread of the test, on the session's PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.conf import settings

from flows.execution import reconciler, worker
from flows.execution.driving import resting
from flows.execution.worker import Engine
from flows.models import ToolEntry
from flows.routing.providers import preload
from flows.steps.services import StepServices
from flows.tools.functions import FUNCTIONS
from orchestrator.catalogue import tool_kinds
from orchestrator.engine import compile_document, dsn
from tests.execution.services import Pair, in_catalogue, two_services

Drive = Callable[..., Engine]
AddTool = Callable[..., None]


@pytest.fixture(scope="session")
def models_loaded() -> None:
    """LiteLLM takes seconds to import: once, and not while an engine's loop runs."""
    preload()


@pytest.fixture
def drive(transactional_db: None, models_loaded: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    """Starts an engine that looks for runs all the time. Call it once the catalogue is in place. It stops with the test."""
    monkeypatch.setattr(worker, "GRACE", 0.2)
    monkeypatch.setattr(reconciler, "PERIOD", 0.05)
    monkeypatch.setattr(reconciler, "random", SimpleNamespace(random=lambda: 0.0))
    monkeypatch.setattr(resting, "SHORT_WAIT", 0.4)
    _forget_standings()
    started: list[Engine] = []

    def start_engine(*, lease: float = 6.0, capacity: int = 100, hooks: Any = ()) -> Engine:
        engine = Engine(
            dsn=dsn(),
            redis_address=settings.REDIS_ADDRESS,
            compile_document=compile_document,
            services=StepServices(tool_kinds(), settings.REDIS_ADDRESS),
            lease=lease,
            scan_period=0.05,
            capacity=capacity,
            hooks=hooks,
        )
        started.append(engine)
        engine.start()
        assert engine._ready.wait(30)
        return engine

    yield start_engine
    for engine in started:
        if engine._thread.is_alive():
            engine.stop(5.0)
        assert not engine._thread.is_alive(), _what_hangs(engine)
    worker._running = None


@pytest.fixture(scope="session")
def services(models_loaded: None) -> Iterator[Pair]:
    with two_services() as pair:
        yield pair


@pytest.fixture
def pair(transactional_db: None, services: Pair) -> Pair:
    """Two real services, `primary` and `backup`, behind the route `pair`."""
    in_catalogue(services)
    return services


def _forget_standings() -> None:
    """Models that failed in other tests have the same names."""
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as store:
        for key in store.scan_iter("health:*"):
            store.delete(key)


def _what_hangs(engine: Engine) -> str:
    """The tasks of an engine that does not stop, each with the lines where it waits."""
    stacks = []
    for task in asyncio.all_tasks(engine.loop):
        waits, at = [], task.get_coro()
        while at is not None:
            frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None) or getattr(at, "ag_frame", None)
            if frame is not None:
                waits.append(f"{frame.f_code.co_filename.rpartition('site-packages/')[2]}:{frame.f_lineno}")
            at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None) or getattr(at, "ag_await", None)
        stacks.append(f"{task.get_name()} {task.get_coro()}: {' > '.join(waits)}")
    main = sys._current_frames().get(engine._thread.ident or 0)
    stacks.append("".join(traceback.format_stack(main)[-4:]))
    return "\n".join(stacks)


@pytest.fixture
def add_tool(transactional_db: None) -> Iterator[AddTool]:
    """Puts a Python function into the catalogue as a tool, and takes it out of the registry afterwards."""
    added: list[str] = []

    def add(slug: str, function: Callable[..., Any], *, effect: str = "read", repeat: str = "freely", **fields: Any) -> None:
        FUNCTIONS.add(slug, function)
        added.append(slug)
        ToolEntry.objects.create(slug=slug, kind="python", effect=effect, repeat=repeat, **fields)

    yield add
    for slug in added:
        FUNCTIONS._by_slug.pop(slug)
