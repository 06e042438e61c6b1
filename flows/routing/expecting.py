"""What a run will probably cost before it is started: what the last runs used, at the prices of the models that are asked now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Func, Q, Sum, Value

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.costs.prices import cost_of
from flows.engine.document import FlowDocument
from flows.models import Call, Flow
from flows.routing.definitions import ModelInfo
from flows.routing.table import RoutingTable, Unknown, current_prices

LOOKED_AT = 20  # runs
INDEXES = r"\[[0-9]+\]"
HANDLER = "on_error"


@dataclass(frozen=True, slots=True)
class Expectation:
    """Dollars: half of the last `runs` that succeeded would cost at most `cost` now, and nine in ten at most `high`. `unpriced`: a price
    is missing, so these are lower bounds. `unseen` are the steps that ask models and did not in any of those runs: they come on top."""

    cost: Decimal
    high: Decimal
    runs: int
    unpriced: bool
    simulated: bool
    unseen: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """How the figures were found, in words."""
        runs = f"the last {self.runs} runs that succeeded" if self.runs > 1 else "the last run that succeeded"
        said = f"The tokens that {runs} used, step by step, at today's prices of the models that the steps' routes ask first"
        said += "; the median of these runs, and what nine in ten of them cost at most."
        if self.unseen:
            said += f" Not counted, since none of them asked: {', '.join(self.unseen)}."
        return said


@dataclass(frozen=True, slots=True)
class _Used:
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


def expected_cost(actor: Actor, flow: Flow, document: FlowDocument, *, simulate: bool = False) -> Expectation | None:
    """What a run of this document of the flow will probably cost, with simulated models where that is wanted. None where nothing has
    succeeded yet, or where the actor may not see costs."""
    if not actor.may(Right.SEE_COSTS, flow.team_id):
        return None
    done = runs_for(actor).filter(flow=flow, purpose="live", status="succeeded").order_by("-id")
    runs = list(done.values_list("id", flat=True)[:LOOKED_AT])
    if not runs:
        return None
    table = current_prices()
    table = table.simulated() if simulate else table
    asking = dict(_asking(document.steps, ""))
    totals: dict[UUID, Decimal] = dict.fromkeys(runs, Decimal(0))
    seen: set[str] = set()
    unpriced = simulated = False
    for row in _used_by(runs):
        if _is_gone(document, row["step"]):
            continue
        seen.add(row["step"])
        model = _asked_now(table, asking.get(row["step"], ""), row["target"])
        simulated = simulated or (model is not None and model.simulated)
        cost = _cost(row, model)
        unpriced = unpriced or cost is None
        totals[row["run_id"]] += cost or Decimal(0)
    ranked = sorted(totals.values())
    unseen = tuple(sorted(path for path in asking if path not in seen))
    high = ranked[-(-len(ranked) * 9 // 10) - 1]
    return Expectation(ranked[(len(ranked) - 1) // 2], high, len(ranked), unpriced, simulated, unseen)


def _used_by(runs: list[UUID]) -> Any:
    """Tokens by run, step (without indexes) and model; and what was charged, also for calls of which no tokens are known."""
    step = Func("path", Value(INDEXES), Value(""), Value("g"), function="regexp_replace")
    known = Q(input_tokens__isnull=False)
    sums = {name: Sum(name, default=0) for name in _Used.__dataclass_fields__}
    calls = Call.objects.filter(run_id__in=runs, kind="model", cached=False).exclude(status="started").order_by()
    counted = calls.annotate(step=step).values("run_id", "step", "target")
    return counted.annotate(
        n=Count("id", filter=known),
        charged=Sum("settled", default=Decimal(0)),
        without_tokens=Sum("settled", filter=~known, default=Decimal(0)),
        **sums,
    )


def _cost(row: Mapping[str, Any], model: ModelInfo | None) -> Decimal | None:
    """At today's price; what was charged then where no tokens are known, or the model has left the catalogue."""
    if model is None or not row["n"]:
        return Decimal(row["charged"])
    used = _Used(*(row[name] for name in _Used.__dataclass_fields__))
    price = model.price.row_for(round(used.input_tokens / row["n"])) if model.price is not None else None
    cost = cost_of(used, replace(price, beyond=()) if price is not None else None)
    return None if cost is None else cost + row["without_tokens"]


def _is_gone(document: FlowDocument, step: str) -> bool:
    top = re.split(r"[./]", step, maxsplit=1)[0]
    return top not in document.steps and top != HANDLER


def _asked_now(table: RoutingTable, route: str, target: str) -> ModelInfo | None:
    """The model that answers a step's question now: the one that did, where the step's route still has it, else the route's first.
    Without a route of the document (in sub-flows and handlers) it is the one that did. None where the catalogue has none."""
    try:
        candidates = table.candidates(route or target)
    except Unknown:
        return None
    return next((model for model in candidates if model.slug == target), candidates[0])


def _asking(steps: Mapping[str, Any], within: str) -> Iterator[tuple[str, str]]:
    """(path without indexes, route) of each step that asks models."""
    for key, step in steps.items():
        settings = step.with_ if hasattr(step, "with_") else (step.get("with") or {})
        if "route" in settings:
            yield f"{within}{key}", str(settings["route"])
        body = settings.get("body")
        if isinstance(body, Mapping):
            yield from _asking(body.get("steps") or {}, f"{within}{key}.")
