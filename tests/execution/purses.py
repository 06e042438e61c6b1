"""Budgets of periods in tests of a real engine: making one, watching it, and what the ledger and the servers say independently."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.db import connections

from flows.models import Budget, BudgetHold, BudgetPeriod, Call
from tests.execution.runs import until
from tests.faults.invariants import served_usage
from tests.servers.model_server import ModelServer

MILLION = Decimal(1_000_000)
Figures = Mapping[str, Decimal]  # dollars per million: input, cached, output, reasoning


def make_budget(scope: str = "all", subject: str = "", cost: str | None = "1", period: str = "day", **fields: Any) -> Budget:
    amount = None if cost is None else Decimal(cost)
    return Budget.objects.create(scope=scope, subject=subject, period=period, cost=amount, **fields)


def counted(budget: Budget) -> BudgetPeriod:
    """The budget's period, once nothing is held in it any more."""
    return until(lambda: None if BudgetHold.objects.exists() else BudgetPeriod.objects.get(budget=budget))


@contextmanager
def watched(budget: Budget) -> Iterator[list[Decimal]]:
    """What spent and reserved came to, at every look while this lasts."""
    seen: list[Decimal] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            seen.extend(each.spent + each.reserved for each in BudgetPeriod.objects.filter(budget=budget))
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def highest_of(calls: Iterable[Call]) -> Decimal:
    """The most that was spent and reserved at any instant by the ledger's own times: a call counts with its reservation from its
    intent to its end, and with its bill from then on. What a budget held lies around that, so the limit must lie above it."""
    moves: list[tuple[Any, int, Decimal]] = []
    for call in calls:
        assert call.ended_at is not None, call.id
        moves.append((call.started_at, 1, call.reserved))
        moves.append((call.ended_at, 0, (call.settled or Decimal(0)) - call.reserved))
    total = highest = Decimal(0)
    for _, _, change in sorted(moves, key=lambda move: move[:2]):
        total += change
        highest = max(highest, total)
    return highest


def served_for(servers: Iterable[ModelServer], prices: Mapping[str, Figures]) -> Decimal:
    """What the servers count for the answers that they gave, at these prices."""
    total = Decimal(0)
    for line in (line for server in servers for line in server.asked):
        if str(line["behave"].get("behave", "")).isdigit():
            continue  # refused: nothing was used
        usage, price = served_usage(line), prices[line["body"]["model"]]
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        thought = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
        total += (usage["prompt_tokens"] - cached) * price["input"] + cached * price["cached"]
        total += (usage["completion_tokens"] - thought) * price["output"] + thought * price["reasoning"]
    return total / MILLION
