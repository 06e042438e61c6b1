"""Runs on a real engine: factories of what they need, and what must hold of every run that has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

from approvals.actions.decide import decide
from flows.engine.states import TERMINAL_STATES
from flows.models import Attempt, Call, Event, ModelEntry, Price, Request, Route, Run
from flows.runs.actions.start_run import start_run
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_team

T = TypeVar("T")


def start(
    steps: dict[str, Any], edges: list[str], given: Any = None, *, run_limits: dict[str, Any] | None = None, **more: Any
) -> Run:
    """A run of a new flow with these steps, as an operator starts it. `run_limits` are the run's own, `more` the document's."""
    more.setdefault("input", {"type": "object"})
    flow = make_flow(document=source_of(steps, edges, **more))
    return start_run(make_actor("operator"), flow.slug, given, limits=run_limits)


def until(look: Callable[[], T], within: float = 30.0) -> T:
    """What `look` gives, once it gives something."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"still {found!r} after {within:g} s"
        time.sleep(0.01)


def reach(run: Run, *states: str, within: float = 30.0) -> Run:
    """The run, once it is in one of these states."""
    deadline = time.monotonic() + within
    while True:
        run = Run.objects.get(id=run.id)
        if run.status in states:
            return run
        wrong = run.status in TERMINAL_STATES or time.monotonic() > deadline
        assert not wrong, f"{run.status} {run.reason} {run.error}, not {states}: {types_of(run)}"
        time.sleep(0.01)


def finish(run: Run, within: float = 30.0) -> Run:
    """The run, once it has ended, with everything in its place."""
    run = reach(run, *TERMINAL_STATES, within=within)
    rows = list(Event.objects.filter(run_id=run.id).order_by("seq").values_list("seq", "type"))
    assert [seq for seq, _ in rows] == list(range(1, run.seq + 1)), rows
    assert [name for _, name in rows].count("run.ended") == 1, rows
    assert rows[-1][1] == "run.ended", rows
    assert (run.owner, run.open_calls, run.reserved, run.reserved_tokens, run.wake_at) == (None, 0, 0, 0, None)
    assert not Call.objects.filter(run_id=run.id, status="started").exists()
    assert not Request.objects.filter(run_id=run.id, state__in=["pending", "info_requested"]).exists()
    assert run.spent == sum((call.settled or Decimal(0) for call in calls_of(run)), Decimal(0))
    succeeded = list(Attempt.objects.filter(run_id=run.id, status="succeeded").values_list("path", flat=True))
    assert len(succeeded) == len(set(succeeded))
    return run


def output_of(run: Run) -> Any:
    assert run.status == "succeeded", f"{run.status} {run.reason} {run.error}"
    return json.loads(run.output or "null")


def error_of(run: Run) -> dict[str, Any]:
    return dict(json.loads(run.error or "{}"))


def types_of(run: Run) -> list[str]:
    return list(Event.objects.filter(run_id=run.id).order_by("seq").values_list("type", flat=True))


def calls_of(run: Run, path: str | None = None) -> list[Call]:
    calls = Call.objects.filter(run_id=run.id).order_by("seq")
    return list(calls if path is None else calls.filter(path=path))


def attempts_of(run: Run, path: str) -> list[Attempt]:
    return list(Attempt.objects.filter(run_id=run.id, path=path).order_by("n"))


def make_model(slug: str = "sim-a", *, price: tuple[str, str] | None = ("1", "10"), model: str = "", **fields: Any) -> ModelEntry:
    """A simulated model; `price` is dollars per million tokens of input and output."""
    entry = ModelEntry.objects.create(slug=slug, model=model or f"sim/{slug}", simulated=not model, max_output=100, **fields)
    if price is not None:
        Price.objects.create(model=entry, input=Decimal(price[0]), output=Decimal(price[1]))
    return entry


def make_route(
    slug: str,
    *models: str | dict[str, Any],
    fall_back_on: tuple[str, ...] = ("unavailable", "rate_limit", "timeout"),
    **fields: Any,
) -> Route:
    return Route.objects.create(slug=slug, candidates=list(models), fall_back_on=list(fall_back_on), **fields)


def model(prompt: str = "Hello", route: str = "sim-a", **more: Any) -> dict[str, Any]:
    """A model step; its settings and what stands beside `with` are told apart by `with_`."""
    return {"kind": "model", "with": {"route": route, "prompt": prompt, **more.pop("with_", {})}, **more}


def tool(name: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "tool", "with": {"tool": name, "arguments": arguments or {}}, **more}


def approval(**settings: Any) -> dict[str, Any]:
    settings = {"title": "May it?", "approvers": {"teams": ["finance"]}, **settings}
    return {"kind": "approval", "with": settings}


def request_of(run: Run) -> Request:
    """The run's one open question, once it rests on it."""
    reach(run, "waiting_approval")
    return Request.objects.get(run=run, state="pending")


def decided(request: Request, outcome: str = "approve", payload: Any = None, comment: str = "") -> None:
    """Somebody of finance decides."""
    decide(make_actor("approver", team=make_team("finance")), request.id, outcome, request.revision, payload, comment)
