"""The large installation: a hundred thousand runs with a million steps and calls over thirteen months, six hundred open requests, a run
of ten thousand items, a flow of three hundred steps."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from typing import Any

from django.db import connection

from flows.access.actor import system
from flows.access.refusals import Invalid
from flows.builder.actions.import_flow import import_flow
from flows.costs.folding import fold_everything, forget_sums
from flows.engine.states import TERMINAL_STATES
from flows.models import Flow, ModelEntry, Run, ToolEntry
from flows.runs.actions.start_run import start_run
from orchestrator.seeding.cast import Progress, wait_for
from orchestrator.seeding.copies import MODELS, multiply_run

RUNS, REQUESTS, FLOWS, STEPS = 100_000, 600, 20, 10
ITEMS, NODES = 10_000, 300

SEED = system("seed", door="cli")

_wait = partial(wait_for, patience=900.0)
"""The engine may take so many seconds for its part."""

CALL = {"kind": "tool", "with": {"tool": "bench.noop", "arguments": {}}}
SET = {"kind": "set", "with": {"values": {"n": 1}}}
ASK = {"kind": "approval", "with": {"title": "Order {{ input.n }}", "outcomes": {"approve": "approve", "reject": "reject"}}}
BODY = {"steps": {"do": CALL}, "edges": ["start -> do"], "output": "{{ run.number }}"}
MAP = {"kind": "map", "with": {"over": "input.items", "concurrency": 50, "on_item_error": "stop", "body": BODY}}


def seed_large(progress: Progress, runs: int = RUNS) -> None:
    """Makes all of it where there is no run yet; an engine must be at work. Raises `Invalid` where there are runs, `TooSlow` where
    the engine does not come to an end."""
    if Run.objects.exists():
        raise Invalid("There are runs here already; the large installation is made where there are none.")
    first = _flows()
    run = start_run(SEED, first.slug, {})
    _wait(progress, "first run", 1, lambda: Run.objects.filter(id=run.id, status="succeeded").count())
    flows = Flow.objects.filter(slug__startswith="large-flow").order_by("slug").values_list("id", flat=True)
    multiply_run(run.id, runs, list(flows), lambda done: progress("runs", done, runs))
    for n in range(REQUESTS):
        start_run(SEED, "large-orders", {"n": n})
    waiting = Run.objects.filter(flow__slug="large-orders", status="waiting_approval")
    _wait(progress, "open requests", REQUESTS, waiting.count)
    long = start_run(SEED, "large-map", {"items": list(range(ITEMS))})
    _wait(progress, "items of one run", ITEMS, lambda: _items_of(long))
    _wait(progress, "long run", 1, lambda: Run.objects.filter(id=long.id, status__in=TERMINAL_STATES).count())
    progress("sums by day", 0, 1)
    forget_sums()  # the engine may have summed days while calls of a past that never was were still being added to them
    fold_everything()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    progress("sums by day", 1, 1)


def _flows() -> Flow:
    """The flows, with the tool and models that they name; the one whose run is copied."""
    settings = {"function": "bench.noop"}
    entry = {"kind": "python", "effect": "read", "repeat": "freely", "settings": settings}
    ToolEntry.objects.get_or_create(slug="bench.noop", defaults=entry)
    for name in MODELS:
        ModelEntry.objects.get_or_create(slug=name, defaults={"model": f"openai/{name}"})
    chain = [f"s{n}" for n in range(STEPS)]
    for n in range(1, FLOWS + 1):
        _make(f"large-flow-{n:02}", f"Large flow {n}", dict.fromkeys(chain, CALL), chain)
    _make("large-orders", "Large orders", {"ask": ASK}, ["ask"])
    _make("large-map", "Large map", {"every": MAP}, ["every"])
    many = [f"s{n}" for n in range(NODES)]
    _make("large-graph", "Large graph", dict.fromkeys(many, SET), many)
    return Flow.objects.get(slug="large-flow-01")


def _make(slug: str, name: str, steps: dict[str, Any], keys: list[str]) -> None:
    edges = [f"start -> {keys[0]}", *(f"{a} -> {b}" for a, b in pairwise(keys))]
    limits = {"steps": 3 * ITEMS + 1000}
    import_flow(
        SEED, slug, json.dumps({"orchestrator": 1, "name": name, "limits": limits, "steps": steps, "edges": edges}), publish=True
    )


def _items_of(run: Run) -> int:
    return min(Run.objects.values_list("steps", flat=True).get(id=run.id), ITEMS)
